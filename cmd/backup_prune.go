package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// pruneJSON is schema etcdops.prune/v1.
type pruneJSON struct {
	Schema  string           `json:"schema"`
	DryRun  bool             `json:"dry_run"`
	Refused string           `json:"refused"` // why nothing is done; empty when it is
	Steps   []pruneStep      `json:"steps"`
	Archive []prunedTimeline `json:"archive"`
}

type pruneStep struct {
	ID      backup.ID          `json:"id"`
	TakenAt *time.Time         `json:"taken_at"` // null when the manifest cannot be read
	Action  backup.PruneAction `json:"action"`
	Reasons []string           `json:"reasons"`
	Bytes   int64              `json:"bytes"`
}

func addPolicyFlags(fs *pflag.FlagSet, p *backup.Policy) {
	fs.IntVar(&p.Last, "keep-last", 0, "keep the newest N")
	fs.IntVar(&p.Hourly, "keep-hourly", 0, "keep the newest of each of N hours that have one (UTC)")
	fs.IntVar(&p.Daily, "keep-daily", 0, "the same of days")
	fs.IntVar(&p.Weekly, "keep-weekly", 0, "the same of weeks")
	fs.IntVar(&p.Monthly, "keep-monthly", 0, "the same of months")
	fs.IntVar(&p.Yearly, "keep-yearly", 0, "the same of years")
	fs.DurationVar(&p.Window, "window", 0, "keep every state of so long before the newest backup restorable")
	fs.BoolVar(&p.Force, "force", false, "allow to remove more than half at once")
}

func newBackupPruneCmd(a *app) *cobra.Command {
	var o backupOptions
	var policy backup.Policy
	var yes, dryRun bool
	var debris time.Duration
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove backups that no rule keeps, after a grace of a day",
		Long: `Applies rules of retention. What no rule keeps is marked first and removed by a run 24 hours later: until then etcdops backup
hold saves it. What runs that were killed left behind is swept.

Archived changes (etcdops backup archive) that lead from no backup any more are marked and removed in the same way. With
--window they are kept from the backup on in which the window begins, and from one more before it; without, from the oldest
backup on.

Never removed: the newest verified backup of each cluster, what is held, what a restore reads, what cannot be read, and
anything of a cluster whose newest backup is not verified. Nothing is removed when a backup lies in the future (a clock went
wrong) or more than half would go (--force). Rules count periods that have a backup, so that nothing goes because time passes.

Exit codes: 0 done; 1 failed; 2 usage; 4 refused, nothing removed; 130 interrupted.`,
		Example: `  etcdops backup prune --keep-hourly 24 --keep-daily 14 --keep-monthly 6 --dry-run
  etcdops backup prune --keep-last 10 --window 72h --yes`,
		Args: cobra.NoArgs,
	}
	o.addRepo(cmd.Flags())
	addPolicyFlags(cmd.Flags(), &policy)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would become of each backup and why, and change nothing")
	cmd.Flags().DurationVar(&debris, "debris-age", backup.DebrisAge, "sweep what has no manifest and is older than this")
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, _ []string) error {
		if policy.Empty() {
			return usageError(cmd, errors.New("name at least one rule, as --keep-last, --keep-daily or --window"))
		}
		if err := a.documentFormat(cmd); err != nil {
			return err
		}
		return a.runBackupPrune(cmd, repo, &o, policy, pruneMode{yes, dryRun, debris})
	})
	return cmd
}

// pruneMode says how far a run of prune goes.
type pruneMode struct {
	yes, dryRun bool
	debris      time.Duration
}

func (a *app) runBackupPrune(cmd *cobra.Command, repo *backup.Repository, o *backupOptions, policy backup.Policy, mode pruneMode) error {
	ctx, now := cmd.Context(), time.Now()
	plan, refused := repo.PlanPrune(ctx, policy, now)
	if refused != nil && ops.CodeOf(refused) != backup.CodePruneRefused {
		return refused
	}
	archives, err := planArchives(ctx, repo, policy, plan, now)
	if err != nil {
		return err
	}
	doc := pruneJSON{Schema: "etcdops.prune/v1", DryRun: mode.dryRun, Steps: []pruneStep{}, Archive: archives.rows()}
	if refused != nil {
		doc.Refused = refused.Error()
	}
	changes := archives.changes()
	for _, s := range plan {
		step := pruneStep{ID: s.Entry.ID, Action: s.Action, Reasons: s.Reasons, Bytes: s.Entry.Bytes}
		if s.Entry.Manifest != nil {
			step.TakenAt = &s.Entry.Manifest.TakenAt
		}
		doc.Steps = append(doc.Steps, step)
		if s.Action == backup.ActionMark || s.Action == backup.ActionRemove {
			changes++
		}
	}
	if err := a.print(cmd, doc, func() error {
		if o.quiet {
			return nil
		}
		return a.tellPrune(doc)
	}); err != nil {
		return err
	}
	if refused != nil || mode.dryRun {
		return refused
	}
	if changes > 0 && !mode.yes {
		err := ui.Confirm(ctx, a.io, ui.Confirmation{
			Op: cmd.CommandPath(), Word: strconv.Itoa(changes), To: fmt.Sprintf("mark or remove as shown: %d of %d backups and timelines", changes, len(plan)+len(doc.Archive)),
		})
		if err != nil {
			return err
		}
	}
	if err := repo.ApplyPrune(ctx, plan, now); err != nil {
		return err
	}
	if err := archives.apply(ctx, repo, policy, now); err != nil {
		return err
	}
	return repo.SweepDebris(ctx, now.Add(-mode.debris))
}

func (a *app) tellPrune(doc pruneJSON) error {
	counts := map[backup.PruneAction]int{}
	var freed int64
	var rows [][]string
	for _, s := range doc.Steps {
		counts[s.Action]++
		if s.Action == backup.ActionRemove {
			freed += s.Bytes
		}
		taken := "-"
		if s.TakenAt != nil {
			taken = s.TakenAt.UTC().Format(time.DateTime)
		}
		rows = append(rows, []string{s.ID.Short(), taken, string(s.Action), strings.Join(s.Reasons, ", ")})
	}
	verdict := fmt.Sprintf("%d stay, %d marked now, %d marked before, %d removed (%s)",
		counts[backup.ActionKeep]+counts[backup.ActionRevive], counts[backup.ActionMark], counts[backup.ActionWait], counts[backup.ActionRemove], health.Bytes(freed))
	switch {
	case doc.Refused != "":
		verdict = "REFUSED, nothing is changed: " + verdict
	case doc.DryRun:
		verdict = "dry run: " + verdict
	}
	fmt.Fprintln(a.io.Out, verdict)
	if len(rows) > 0 {
		if err := ui.Table(a.io.Out, []string{"ID", "TAKEN (UTC)", "ACTION", "WHY"}, rows); err != nil {
			return err
		}
	}
	for _, t := range doc.Archive {
		fmt.Fprintln(a.io.Out, "archive   "+ui.Wrap(t.text(), indent+4, ui.MaxColumns, indent+4))
	}
	return nil
}

func newBackupHoldCmd(a *app) *cobra.Command {
	var o backupOptions
	var release bool
	var reason string
	cmd := &cobra.Command{
		Use:   "hold ID",
		Short: "Keep a backup from being pruned, or let it go again",
		Long: `Keeps a backup whatever the rules of retention say, also one that prune has marked for removal already. --release lets it go
again.`,
		Example: "  etcdops backup hold 9f3a --reason 'before the upgrade to 1.37'\n  etcdops backup hold 9f3a --release",
		Args:    cobra.ExactArgs(1),
	}
	o.addRepo(cmd.Flags())
	o.addCluster(cmd.Flags())
	cmd.Flags().BoolVar(&release, "release", false, "let it go again")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who find it")
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		e, err := a.findBackup(cmd, repo, &o, args[0])
		if err != nil {
			return err
		}
		if err := repo.SetHold(cmd.Context(), e, !release, reason, time.Now()); err != nil {
			return err
		}
		if !o.quiet {
			fmt.Fprintf(a.io.Out, "backup %s is %s\n", e.ID.Short(), map[bool]string{true: "no longer held", false: "held"}[release])
		}
		return nil
	})
	return cmd
}
