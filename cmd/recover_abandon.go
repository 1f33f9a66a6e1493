package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/node"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

const recoverAbandonHelp = `Gives up an operation (recover member, or rebuild-cluster) that was stopped half-way: shows what was done and what can be
taken back, asks, takes that back, and ends its journal and its locks. Until it has, the operation can be resumed as well.

What it means depends on how far the operation came; each member is judged by the member list, as a majority confirms it:
  not removed yet        nothing keeps it from starting any more; it is started if it ran when the operation began
  removed                it stays out: that cannot be undone. A learner that was added for it is removed, its machine stays
                         stopped, its directories are set aside, and old data never come back
  promoted               it votes, and stays; when all do, only --resume is left
  a rebuild              until the first new member was started: the old directory is put back, copies are removed, the old
                         members may start again. After that clients may have written, and only resume is left

Without a quorum it works as long as no step that removes a member had begun: a member that was stopped for its recovery
can be started again.

Exit codes: 0 abandoned; 4 refused, nothing changed; 6 stopped half-way, run it again; 2 usage; 1 failure.`

type abandonOptions struct {
	state     stateOptions
	sshConfig string
	dryRun    bool
	yes       bool
}

func newRecoverAbandonCmd(a *app) *cobra.Command {
	var o abandonOptions
	cmd := &cobra.Command{
		Use:   "abandon [OPERATION]",
		Short: "Give up an operation that was stopped half-way: take back what can be taken back",
		Long:  recoverAbandonHelp,
		Example: `  etcdops recover abandon --dry-run
  etcdops recover abandon 20261122-221500-k7x2ma`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.recoverAbandon(cmd, o, strings.Join(args, "")) },
	}
	fs := cmd.Flags()
	o.state.addFlags(fs)
	fs.BoolVar(&o.dryRun, "dry-run", false, "show what would be taken back, and change nothing")
	fs.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	fs.StringVar(&o.sshConfig, "ssh-config", "", "configuration file for ssh, instead of that of the plan")
	return cmd
}

// abandoning is an operation of either kind that can be taken back.
type abandoning interface {
	PlanAbandon(ctx context.Context) (*recovery.Abandonment, error)
	Abandon(ctx context.Context, a *recovery.Abandonment) error
}

func (a *app) recoverAbandon(cmd *cobra.Command, o abandonOptions, name string) (err error) {
	if !slices.Contains([]string{"", "table", "simple", "json"}, a.out) {
		return badFormat(cmd, a.out, "table", "json")
	}
	journal, held, err := o.state.open().ResumeAny(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close(), held.Close()) }()
	ctx, progress := cmd.Context(), newRecoverProgress(a)
	run, leave, err := a.abandoned(cmd, o, progress, journal)
	if err != nil {
		return err
	}
	defer leave()
	plan, err := run.PlanAbandon(ctx)
	if err != nil {
		return err
	}
	if o.dryRun && a.out == "json" {
		return ui.JSON(a.io.Out, plan)
	}
	if err := a.showAbandonment(plan, journal, o.dryRun); err != nil || o.dryRun {
		return err
	}
	if !o.yes {
		err := ui.Confirm(ctx, a.io, ui.Confirmation{Op: cmd.CommandPath(), Word: abandonWord(plan), To: "give the operation up"})
		if err != nil {
			return err
		}
	}
	stop := progress.start(ctx)
	err = run.Abandon(ctx, plan)
	stop()
	if err != nil {
		return o.state.named(err)
	}
	return a.showAbandoned(progress, plan, journal)
}

// abandonWord is what a person types: the members that it is about.
func abandonWord(plan *recovery.Abandonment) string {
	var names []string
	for _, m := range plan.Members {
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return plan.Operation
	}
	return strings.Join(names, " ")
}

// abandoned opens what the journal's operation works on.
func (a *app) abandoned(cmd *cobra.Command, o abandonOptions, progress *recoverProgress, journal *recovery.Journal) (abandoning, func(), error) {
	if journal.Plan.Kind == recovery.KindRebuild {
		opts := applyOptions{state: o.state, stallAfter: time.Minute}
		opts.sshConfig = o.sshConfig
		run, err := a.rebuildRun(cmd, opts, progress, journal)
		return run, func() {}, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	run := &recovery.MemberRun{
		Journal: journal, Nodes: map[string]recovery.Node{}, Events: progress.event,
		Me: recovery.Holder{Operation: journal.Operation(), Host: host, PID: os.Getpid(), Since: time.Now().UTC()},
	}
	for _, t := range journal.Plan.Member.Targets {
		ssh := t.SSHConfig
		if o.sshConfig != "" {
			ssh = o.sshConfig
		}
		if run.Nodes[t.Name], _, err = node.Open(cmd.Context(), t.Via, t.Name, node.Options{Say: progress.say, SSHConfig: ssh}); err != nil {
			return nil, nil, err
		}
	}
	run.Cluster, err = a.abandonedCluster(cmd, journal)
	if err != nil {
		return nil, nil, err
	}
	return run, func() {
		if run.Cluster != nil {
			_ = run.Cluster.Close() // what was done stands
		}
	}, nil
}

// abandonedCluster connects to the cluster. Where nobody answers that is needed only once a member may have been removed.
func (a *app) abandonedCluster(cmd *cobra.Command, journal *recovery.Journal) (*ops.Cluster, error) {
	resolved, err := a.resolve(cmd)
	if err != nil {
		return nil, err
	}
	cluster, err := ops.Dial(cmd.Context(), resolved.Config)
	if err == nil {
		return cluster, nil
	}
	for _, t := range journal.Plan.Member.Targets {
		if journal.Began(recovery.StepRemove + ":" + t.Name) {
			return nil, err
		}
	}
	fmt.Fprintln(a.io.Err, "the cluster does not answer:", ui.Safe(err.Error()))
	return nil, nil
}

// showAbandonment prints, for people, what was done and what is taken back.
func (a *app) showAbandonment(plan *recovery.Abandonment, journal *recovery.Journal, dryRun bool) error {
	if a.out == "json" {
		return nil
	}
	out := a.io.Out
	fmt.Fprintf(out, "ABANDON  %s  %s of cluster %s, begun %s\n", plan.Operation, plan.Kind, plan.ClusterID, journal.Plan.MadeAt.Format(time.RFC3339))
	rows := make([][]string, len(plan.Steps))
	for i, s := range plan.Steps {
		state := s.State
		if state == "" {
			state = "-"
		}
		rows[i] = []string{strconv.Itoa(i + 1), s.ID, state, s.Undo}
	}
	if err := ui.Table(out, []string{"STEP", "WHAT", "STATE", "IS TAKEN BACK"}, rows); err != nil {
		return err
	}
	for _, m := range plan.Members {
		fmt.Fprintln(out, ui.Wrap(ui.Safe(m.Name+": "+m.Text), 0, ui.MaxColumns, 2))
	}
	if plan.Voters > 0 {
		fmt.Fprintf(out, "the cluster has %d voters afterwards, and can lose %d of them while all work\n", plan.Voters, (plan.Voters-1)/2)
	}
	for _, n := range plan.Notes {
		fmt.Fprintln(out, "note:", ui.Wrap(ui.Safe(n), len("note: "), ui.MaxColumns, len("note: ")))
	}
	if dryRun {
		fmt.Fprintln(out, "nothing was changed")
	}
	return nil
}

// abandonedJSON is schema etcdops.abandoned/v1: the last document.
type abandonedJSON struct {
	Schema    string                     `json:"schema"`
	Operation string                     `json:"operation"`
	ClusterID ops.ClusterID              `json:"cluster_id"`
	Members   []recovery.AbandonedMember `json:"members"`
	Troubles  []memberTrouble            `json:"troubles"` // what could not be done on a machine
}

type memberTrouble struct {
	Member string `json:"member"`
	Text   string `json:"text"`
}

func (a *app) showAbandoned(progress *recoverProgress, plan *recovery.Abandonment, journal *recovery.Journal) error {
	result := abandonedJSON{Schema: "etcdops.abandoned/v1", Operation: plan.Operation, ClusterID: plan.ClusterID, Members: plan.Members, Troubles: []memberTrouble{}}
	if journal.Plan.Kind == recovery.KindMember {
		troubles, err := recovery.Troubles(journal)
		if err != nil {
			return err
		}
		for _, m := range plan.Members {
			if text := troubles[m.Name]; text != "" {
				result.Troubles = append(result.Troubles, memberTrouble{m.Name, text})
			}
		}
	}
	if a.out == "json" {
		return progress.document(result)
	}
	out := a.io.Out
	fmt.Fprintf(out, "ABANDONED  %s; its locks are free\n", plan.Operation)
	for _, t := range result.Troubles {
		fmt.Fprintln(out, ui.Wrap(ui.Safe(fmt.Sprintf("%s: its machine could not be worked on: %s; keep it from starting, and do not use its old data", t.Member, oneLine(t.Text))), 0, ui.MaxColumns, 2))
	}
	for _, m := range plan.Members {
		if m.Next != "" {
			fmt.Fprintln(out, ui.Wrap(ui.Safe(m.Name+": "+m.Next), 0, ui.MaxColumns, 2))
		}
	}
	_, err := fmt.Fprintln(out, "next: etcdops health")
	return err
}
