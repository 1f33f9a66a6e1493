package cmd

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

const getHelp = `Gets the key or a range of keys.

A range in the order of its keys (--prefix, --from-key, or two keys) is printed as it comes from the server, in little
memory whatever its size, and all at one revision. --command-timeout is then the longest silence, not the time of the
whole. When the rest cannot be had, because the connection is lost for good or the revision is compacted away meanwhile, the
error says how many keys came, and the exit code is not 0 (5 unreachable, 1 otherwise).
Other orders (--sort-by, --order DESCEND) and revision filters are answered in one piece that must fit in memory.`

// What keeps the memory of a long scan small: it holds little at any time and drops much, so the collector runs early. The
// limit is a wish, not a wall: pages of large values need more and get it.
const (
	scanGCPercent   = 50
	scanMemoryLimit = 20 << 20 // bytes of the whole heap; the collector's share of the time grows beyond it
)

// sparingly sets the collector for a scan, but for what the environment asks for.
func sparingly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(scanGCPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(scanMemoryLimit)
	}
}

// streamGet makes get print large ranges as they come.
func (a *app) streamGet(cmd *cobra.Command) {
	cmd.Long = getHelp
	wrap(cmd, func(cmd *cobra.Command, args []string) (bool, error) {
		opts, ok := scanOptions(cmd.Flags(), args)
		if !ok {
			return false, nil
		}
		format, err := a.upstreamFormat(cmd)
		if err != nil {
			return true, err
		}
		valuesOnly := flagOn(cmd.Flags(), "print-value-only")
		if valuesOnly && format != "simple" {
			return false, nil // upstream's code refuses it
		}
		out := ui.NewRangeWriter(a.io.Out, ui.RangeOptions{
			Format: ui.RangeFormat(format), Hex: boolSetting(cmd, "hex") == "true", ValuesOnly: valuesOnly,
		})
		cluster, err := a.dialQuorum(cmd)
		if err != nil {
			return true, err
		}
		sparingly()
		return true, errors.Join(printRange(cmd.Context(), cluster, opts, out), cluster.Close())
	})
}

// printRange prints a range of keys as it comes.
func printRange(ctx context.Context, cluster *ops.Cluster, opts ops.ScanOptions, out *ui.RangeWriter) error {
	scan, err := cluster.Scan(ctx, opts)
	if err != nil {
		return err
	}
	if err := out.Begin(scan.Header); err != nil {
		return err
	}
	for kvs, err := range scan.Chunks(ctx) {
		if err != nil {
			return err
		}
		if err := out.Keys(kvs); err != nil {
			return err
		}
	}
	return out.End(scan.Total().More, scan.Total().Count)
}

// scanOptions reads get's flags and arguments; ok when they ask for a range that a scan can print piece by piece. What
// is wrong with them is left to upstream's code to say.
func scanOptions(flags *pflag.FlagSet, args []string) (o ops.ScanOptions, ok bool) {
	if !inOrder(flags) || flagOn(flags, "count-only") {
		return o, false
	}
	o, ok = keyRange(flags, args)
	o.Revision, o.Limit, o.KeysOnly = max(0, flagNumber(flags, "rev")), flagNumber(flags, "limit"), flagOn(flags, "keys-only")
	switch flagText(flags, "consistency") {
	case "s":
		o.Serializable = true
	case "l":
	default:
		return o, false
	}
	return o, ok && o.Limit >= 0
}

// keyRange is the range that get's and del's arguments name; ok when it is one, and not a single key.
func keyRange(flags *pflag.FlagSet, args []string) (o ops.ScanOptions, ok bool) {
	prefix, fromKey := flagOn(flags, "prefix"), flagOn(flags, "from-key")
	switch {
	case len(args) == 2 && !prefix && !fromKey && args[0] != "" && args[1] != "":
		return ops.ScanOptions{Key: args[0], End: args[1]}, true
	case len(args) != 1 || prefix == fromKey:
		return o, false
	case args[0] == "":
		return ops.ScanOptions{Key: "\x00", End: "\x00"}, true
	case fromKey:
		return ops.ScanOptions{Key: args[0], End: "\x00"}, true
	}
	return ops.ScanOptions{Key: args[0], End: clientv3.GetPrefixRangeEnd(args[0])}, true
}

// inOrder reports whether the keys are wanted in their own order and without a filter.
func inOrder(flags *pflag.FlagSet) bool {
	for _, filter := range []string{"min-create-rev", "max-create-rev", "min-mod-rev", "max-mod-rev"} {
		if flagNumber(flags, filter) > 0 {
			return false
		}
	}
	order, by := strings.ToUpper(flagText(flags, "order")), strings.ToUpper(flagText(flags, "sort-by"))
	return (order == "" || order == "ASCEND") && (by == "" || by == "KEY")
}

// The readers of flags that upstream's commands declare: flags of that name and type exist, which a test holds.

func flagOn(flags *pflag.FlagSet, name string) bool {
	on, err := flags.GetBool(name)
	return err == nil && on
}

func flagNumber(flags *pflag.FlagSet, name string) int64 {
	n, err := flags.GetInt64(name)
	if err != nil {
		return 0
	}
	return n
}

func flagText(flags *pflag.FlagSet, name string) string {
	text, err := flags.GetString(name)
	if err != nil {
		return ""
	}
	return text
}
