package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/node"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// operationsJSON is schema etcdops.operations/v1.
type operationsJSON struct {
	Schema     string               `json:"schema"`
	Operations []recovery.Operation `json:"operations"`
	Unreadable []string             `json:"unreadable"`
}

func newRecoverListCmd(a *app) *cobra.Command {
	var o stateOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the operations of this machine, and the directories that they set aside",
		Long: `Lists what the journals of this machine (and user) tell: finished operations, those that were stopped half-way, and the
directories that they set aside. It connects nowhere.`,
		Example: "  etcdops recover list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, unreadable, err := o.open().Operations()
			if err != nil {
				return err
			}
			doc := operationsJSON{Schema: "etcdops.operations/v1", Operations: found, Unreadable: []string{}}
			for _, err := range unreadable {
				doc.Unreadable = append(doc.Unreadable, err.Error())
			}
			return a.print(cmd, doc, func() error { return printOperations(a.io, doc) })
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func printOperations(s *ui.Streams, doc operationsJSON) error {
	if len(doc.Operations)+len(doc.Unreadable) == 0 {
		fmt.Fprintln(s.Out, "no operation has been made from here")
		return nil
	}
	var rows, asides [][]string
	for _, op := range doc.Operations {
		rows = append(rows, []string{op.Name, op.Kind, op.State, fmt.Sprintf("%d of %d", op.Done, op.Steps), op.ClusterID.String()})
		for _, k := range op.Asides {
			asides = append(asides, []string{op.Name, k.Member, humanize.IBytes(uint64(k.Bytes)), k.Path})
		}
	}
	if err := ui.Table(s.Out, []string{"OPERATION", "KIND", "STATE", "STEPS", "CLUSTER"}, rows); err != nil {
		return err
	}
	if len(asides) > 0 {
		fmt.Fprintln(s.Out)
		if err := ui.Table(s.Out, []string{"SET ASIDE BY", "MEMBER", "SIZE", "WHERE, ON THE MEMBER'S MACHINE"}, asides); err != nil {
			return err
		}
	}
	for _, text := range doc.Unreadable {
		fmt.Fprintln(s.Err, "unreadable:", ui.Safe(text))
	}
	return nil
}

func newRecoverCleanCmd(a *app) *cobra.Command {
	var o stateOptions
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "clean OPERATION",
		Short: "Remove the directories that an operation set aside, once the cluster is healthy",
		Long: `Removes, for good, the directories that a finished operation set aside. Refused unless the operation is finished, every
voter works, and the members' hashes are equal now.`,
		Example: "  etcdops recover clean 20261122-221500-k7x2ma",
		Args:    exactArgs("OPERATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.recoverClean(cmd, o.open(), args[0], yes, dryRun)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be removed")
	return cmd
}

func (a *app) recoverClean(cmd *cobra.Command, state recovery.StateDir, name string, yes, dryRun bool) error {
	ctx := cmd.Context()
	resolved, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	cluster, err := ops.Dial(ctx, resolved.Config)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // nothing is kept in it
	op, journal, err := state.Cleanable(ctx, cluster, name)
	if err != nil {
		return err
	}
	defer func() { _ = journal.Close() }() // every record is on disk
	facts, err := health.Collect(ctx, resolved.Config, health.Options{Bound: time.Second})
	if err != nil {
		return err
	}
	if report := health.Evaluate(facts, health.Policy{}); report.Severity != health.SeverityOK && report.Severity != health.SeverityWarning {
		return &ops.HintError{
			Code: recovery.CodeNotHealthy, Class: ops.ClassRefused, Op: cmd.CommandPath(), Member: name,
			Err: errors.New(report.Summary), Hint: "etcdops health",
		}
	}
	var total int64
	for _, k := range op.Asides {
		total += k.Bytes
		fmt.Fprintf(a.io.Out, "%s  %s  %s\n", ui.Safe(k.Member), humanize.IBytes(uint64(k.Bytes)), ui.Safe(k.Path))
	}
	if dryRun || len(op.Asides) == 0 {
		fmt.Fprintln(a.io.Out, "nothing was removed")
		return nil
	}
	if !yes {
		err := ui.Confirm(ctx, a.io, ui.Confirmation{Op: cmd.CommandPath(), Word: name, To: "remove " + humanize.IBytes(uint64(total)) + " for good"})
		if err != nil {
			return err
		}
	}
	say := func(text string) { fmt.Fprintln(a.io.Err, ui.Safe(text)) }
	err = recovery.Clean(ctx, journal, func(t recovery.Target) (recovery.Node, error) {
		n, _, err := node.Open(ctx, t.Via, t.Name, node.Options{Say: say, SSHConfig: t.SSHConfig})
		return n, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.io.Out, "removed")
	return nil
}
