package cmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

const delHelp = `Removes the specified key or range of keys [key, range_end).

A range (--prefix, --from-key, or two keys) is counted first, and on a terminal the count must be typed before anything
is deleted. Off a terminal --yes is needed. --dry-run shows the count and the first keys, and deletes nothing. The name
etcdctl (a link, or etcdops ctl) deletes without asking.`

// dryRunKeys is how many keys --dry-run shows.
const dryRunKeys = 10

// guardDel makes del ask before it deletes a range.
func (a *app) guardDel(cmd *cobra.Command) {
	var yes, dryRun bool
	cmd.Long = delHelp
	cmd.Flags().BoolVar(&yes, "yes", false, "delete a range without asking")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be deleted, and delete nothing")
	wrap(cmd, func(cmd *cobra.Command, args []string) (bool, error) {
		r, isRange := keyRange(cmd.Flags(), args)
		switch {
		case dryRun && !isRange:
			var err error
			if r, err = singleKey(cmd, args); err != nil {
				return true, err
			}
		case !isRange:
			return false, nil
		case yes && !dryRun:
			return false, noDelay(cmd)
		}
		if _, err := a.upstreamFormat(cmd); err != nil {
			return true, err
		}
		return a.askDel(cmd, r, describeRange(cmd.Flags(), args), dryRun)
	})
}

// singleKey is the one key that del's arguments name, as a range. Arguments that upstream's code may take in another way are
// refused: nothing but a count may come of --dry-run.
func singleKey(cmd *cobra.Command, args []string) (ops.ScanOptions, error) {
	if len(args) != 1 || args[0] == "" || flagOn(cmd.Flags(), "prefix") || flagOn(cmd.Flags(), "from-key") {
		return ops.ScanOptions{}, usageError(cmd, errors.New("--dry-run wants one key that is not empty, two such keys, or one with either --prefix or --from-key"))
	}
	return ops.ScanOptions{Key: args[0], End: args[0] + "\x00"}, nil
}

// askDel counts the keys of a range, and asks whether to delete them; done when they must not be.
func (a *app) askDel(cmd *cobra.Command, r ops.ScanOptions, what string, dryRun bool) (done bool, err error) {
	cluster, err := a.dialQuorum(cmd)
	if err != nil {
		return true, err
	}
	count, first, err := countKeys(cmd.Context(), cluster, r)
	if err = errors.Join(err, cluster.Close()); err != nil {
		return true, err
	}
	if dryRun {
		return true, a.showDel(count, first, what)
	}
	if count > 0 {
		err = ui.Confirm(cmd.Context(), a.io, ui.Confirmation{
			Op: cmd.CommandPath(), Word: strconv.FormatInt(count, 10), To: fmt.Sprintf("delete %s %s", keys(count), what),
		})
	}
	if err != nil {
		return true, err
	}
	return false, noDelay(cmd)
}

// noDelay keeps upstream's code from its own guard of two keys, which is to wait for two seconds.
func noDelay(cmd *cobra.Command) error { return cmd.Flags().Set("range", "true") }

// countKeys counts a range and reads its first keys, without values.
func countKeys(ctx context.Context, cluster *ops.Cluster, r ops.ScanOptions) (count int64, first []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.Config().CommandTimeout)
	defer cancel()
	resp, err := cluster.Client().Get(ctx, r.Key, clientv3.WithRange(r.End), clientv3.WithKeysOnly(), clientv3.WithLimit(dryRunKeys))
	if err != nil {
		return 0, nil, cluster.Explain(ctx, "count keys", "", err)
	}
	for _, kv := range resp.Kvs {
		first = append(first, string(kv.Key))
	}
	return resp.Count, first, nil
}

func (a *app) showDel(count int64, first []string, what string) error {
	_, err := fmt.Fprintf(a.io.Out, "would delete %s %s\n", keys(count), what)
	for _, key := range first {
		if err == nil {
			_, err = fmt.Fprintf(a.io.Out, "  %s\n", ui.Safe(key))
		}
	}
	if rest := count - int64(len(first)); err == nil && rest > 0 {
		_, err = fmt.Fprintf(a.io.Out, "  and %d more\n", rest)
	}
	return err
}

// describeRange names a range as its user typed it.
func describeRange(flags *pflag.FlagSet, args []string) string {
	switch {
	case len(args) == 2:
		return "from " + args[0] + " to before " + args[1]
	case args[0] == "":
		return "(all keys of the cluster)"
	case flagOn(flags, "from-key"):
		return "from " + args[0] + " on"
	case flagOn(flags, "prefix"):
		return "under " + args[0]
	}
	return "named " + args[0]
}

func keys(n int64) string {
	if n == 1 {
		return "1 key"
	}
	return strconv.FormatInt(n, 10) + " keys"
}
