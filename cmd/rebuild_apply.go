package cmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/node"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// riskLossy is the risk of a rebuild that may lose acknowledged writes.
const riskLossy = "lossy"

// applyOptions are the settings of apply and resume.
type applyOptions struct {
	rebuildOptions
	state      stateOptions
	planFile   string
	operation  string
	yes        bool
	dryRun     bool
	accept     []string
	stallAfter time.Duration
}

func (o *applyOptions) addRunFlags(fs *pflag.FlagSet) {
	o.state.addFlags(fs)
	fs.DurationVar(&o.stallAfter, "stall-after", time.Minute, "without progress for so long, a joining member is taken back")
}

func newRebuildApplyCmd(a *app) *cobra.Command {
	var opts applyOptions
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Carry the rebuild out: the first member, then the others, one by one",
		Long: `Makes the plan (or reads that of --plan), prints it, asks, and carries it out.

The source is copied and the copy's log committed to its end; a server of the log's own version, which nobody else can talk
to, applies it; a data directory is made of the result, under a token that no old directory has; the old directory is set
aside, the new one takes its place, the first member is started and verified; then the others join as learners and are
promoted once they have applied all data. Sources are never written, old directories are never deleted. Until the old
directory is set aside nothing of the old cluster is changed. A run that is killed anywhere goes on with
"rebuild-cluster resume".

A plan that may lose writes asks for a word of its own; in scripts --accept-risk=lossy says it.

--via NAME=process:FILE is a member that etcdops starts itself by the command in FILE (YAML: command, env, dir, log);
NAME=ssh:HOST/process:FILE is one on another machine, NAME=manual tells a person what to do. Where the chosen source is not on
the first member's machine it is brought there, with checksums; what has arrived need not be brought again.

Exit codes: 0 rebuilt; 4 refused, nothing changed; 6 stopped half-way, resume goes on; 3 data differ; 1 and 2 otherwise.`,
		Example: `  etcdops rebuild-cluster apply --via m1=process:/etc/etcd/m1.yaml --via m2=process:/etc/etcd/m2.yaml --dry-run
  etcdops rebuild-cluster apply --plan plan.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRebuildApply(cmd, opts) },
	}
	opts.addFlags(cmd.Flags())
	opts.addPlanFlags(cmd.Flags())
	opts.addRunFlags(cmd.Flags())
	fs := cmd.Flags()
	fs.StringVar(&opts.planFile, "plan", "", "carry out the plan in this file (of plan --out), if it still holds")
	fs.BoolVar(&opts.yes, "yes", false, "do not ask for confirmation of a complete plan")
	fs.BoolVar(&opts.dryRun, "dry-run", false, "print the plan and change nothing")
	fs.StringSliceVar(&opts.accept, "accept-risk", nil, "a named risk that is taken: lossy")
	return cmd
}

func newRebuildResumeCmd(a *app) *cobra.Command {
	var opts applyOptions
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Go on with a rebuild that was stopped or killed",
		Long: `Goes on with the rebuild of this machine that was not finished. Each step looks first whether its effect is there.

Exit codes: those of apply; 2 when nothing is to be resumed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRebuildResume(cmd, opts) },
	}
	opts.addRunFlags(cmd.Flags())
	opts.addSSH(cmd.Flags())
	cmd.Flags().StringVar(&opts.operation, "operation", "", "which one, when several are not finished")
	return cmd
}

func (a *app) runRebuildApply(cmd *cobra.Command, opts applyOptions) error {
	for _, risk := range opts.accept {
		if risk != riskLossy {
			return usageError(cmd, fmt.Errorf("there is no risk %q here; there is %s", risk, riskLossy))
		}
	}
	progress := newRecoverProgress(a)
	box, err := sandbox()
	if err != nil {
		return err
	}
	files := recovery.Remember(box) // the plan is made again in a moment, of the same files
	plan, req, err := a.rebuildPlanOf(cmd, opts, files, progress)
	if err != nil {
		return err
	}
	if opts.dryRun {
		return a.print(cmd, plan, func() error { return printRebuildPlan(a.io, plan) })
	}
	if a.out != "json" {
		if err := printRebuildPlan(a.io, plan); err != nil {
			return err
		}
	}
	if err := a.confirmRebuild(cmd, opts, plan); err != nil {
		return err
	}
	journal, held, err := opts.state.open().BeginRebuild(cmd.Context(), files, plan, req)
	if err != nil {
		return err
	}
	return a.executeRebuild(cmd, opts, progress, journal, held)
}

// rebuildPlanOf makes the plan, or reads the one of --plan with what it was made of.
func (a *app) rebuildPlanOf(cmd *cobra.Command, opts applyOptions, files recovery.Inspector, progress *recoverProgress) (*recovery.Plan, recovery.RebuildRequest, error) {
	if opts.planFile == "" {
		req, err := a.rebuildRequest(cmd, opts.rebuildOptions, progress.say)
		if err != nil {
			return nil, req, err
		}
		facts, err := recovery.CollectRebuild(cmd.Context(), files, req)
		if err != nil {
			return nil, req, err
		}
		plan, err := a.planRebuild(facts, opts.rebuildOptions)
		return plan, req, err
	}
	plan := &recovery.Plan{}
	text, err := os.ReadFile(opts.planFile)
	if err == nil {
		err = json.Unmarshal(text, plan)
	}
	if err == nil {
		err = plan.Verify()
	}
	if err == nil && plan.Rebuild == nil {
		err = errors.New("it is no plan of a rebuild")
	}
	if err != nil {
		return nil, recovery.RebuildRequest{}, &ops.HintError{Code: recovery.CodePlan, Class: ops.ClassUsage, Op: "read plan", Member: opts.planFile, Err: err, Hint: "make it again: etcdops rebuild-cluster plan --out FILE"}
	}
	for _, m := range plan.Rebuild.Members {
		if m.Via != "" {
			opts.via = append(opts.via, m.Name+"="+m.Via)
		}
	}
	if p := plan.Rebuild.Server.Path; p != "" {
		opts.binaries = append(opts.binaries, p)
	}
	opts.from, opts.snapshots, opts.backups = []string{"plan"}, nil, nil
	opts.sshConfig = cmp.Or(opts.sshConfig, plan.Rebuild.SSHConfig)
	req, err := a.rebuildRequest(cmd, opts.rebuildOptions, progress.say)
	if err != nil {
		return nil, req, err
	}
	req.Sources = plan.Rebuild.Sources
	req.Remote, err = opts.remote(cmd.Context(), req.Sources, req.Nodes)
	return plan, req, err
}

// confirmRebuild asks; a plan that may lose writes is agreed to by a word of its own.
func (a *app) confirmRebuild(cmd *cobra.Command, opts applyOptions, plan *recovery.Plan) error {
	v := plan.Rebuild.Verdict
	if v.Complete {
		if opts.yes {
			return nil
		}
		word := plan.Rebuild.Members[0].Name
		return ui.Confirm(cmd.Context(), a.io, ui.Confirmation{Op: cmd.CommandPath(), Word: word, To: "make a new cluster of it"})
	}
	if slices.Contains(opts.accept, riskLossy) {
		return nil
	}
	if opts.yes || !a.io.InTTY {
		return &ops.HintError{
			Code: recovery.CodeConsent, Class: ops.ClassRefused, Op: cmd.CommandPath(), Err: errors.New(v.Text),
			Hint: "look for the missing data directories first; to go on all the same: --accept-risk=" + riskLossy,
		}
	}
	return ui.Confirm(cmd.Context(), a.io, ui.Confirmation{Op: cmd.CommandPath(), Word: riskLossy, To: fmt.Sprintf("make a new cluster that may lack what was written above revision %d", v.FloorRevision)})
}

func (a *app) runRebuildResume(cmd *cobra.Command, opts applyOptions) error {
	journal, held, err := opts.state.open().ResumeRebuild(opts.operation)
	if err != nil {
		return err
	}
	return a.executeRebuild(cmd, opts, newRecoverProgress(a), journal, held)
}

// executeRebuild carries the journal's plan out and tells the result.
func (a *app) executeRebuild(cmd *cobra.Command, opts applyOptions, progress *recoverProgress, journal *recovery.Journal, held io.Closer) (err error) {
	defer func() { err = errors.Join(err, journal.Close(), held.Close()) }()
	run, err := a.rebuildRun(cmd, opts, progress, journal)
	if err != nil {
		return err
	}
	begun := time.Now()
	stop := progress.start(cmd.Context())
	err = run.Execute(cmd.Context())
	stop()
	if err != nil {
		return err
	}
	forgetBackups(journal.Plan.Rebuild)
	return a.showRebuilt(progress, journal, time.Since(begun))
}

func (a *app) rebuildRun(cmd *cobra.Command, opts applyOptions, progress *recoverProgress, journal *recovery.Journal) (*recovery.RebuildRun, error) {
	shop, err := bench(nil)
	if err != nil {
		return nil, err
	}
	resolved, err := a.resolve(cmd)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	opts.sshConfig = cmp.Or(opts.sshConfig, journal.Plan.Rebuild.SSHConfig)
	nodes, machines := map[string]recovery.Node{}, []recovery.RebuildNode{}
	for _, m := range journal.Plan.Rebuild.Members {
		if nodes[m.Name], _, err = node.Open(cmd.Context(), m.Via, m.Name, opts.node(progress.say)); err != nil {
			return nil, err
		}
		machines = append(machines, recovery.RebuildNode{Name: m.Name, Via: m.Via})
	}
	remote, err := opts.remote(cmd.Context(), []recovery.Source{journal.Plan.Rebuild.Source}, machines)
	if err != nil {
		return nil, err
	}
	return &recovery.RebuildRun{
		Journal: journal, Nodes: nodes, Here: shop, Remote: remote, Settings: resolved.Config, Events: progress.event, StallAfter: opts.stallAfter,
		Me: recovery.Holder{Operation: journal.Operation(), Host: host, PID: os.Getpid(), Since: time.Now().UTC()},
	}, nil
}

// rebuiltJSON is schema etcdops.rebuilt/v1: the last document of a run.
type rebuiltJSON struct {
	Schema       string            `json:"schema"`
	Operation    string            `json:"operation"`
	OldClusterID ops.ClusterID     `json:"old_cluster_id"`
	ClusterID    ops.ClusterID     `json:"cluster_id"`
	Complete     bool              `json:"complete"`
	Verdict      string            `json:"verdict"`
	Revision     int64             `json:"revision"` // that the new cluster began with
	Keys         int64             `json:"keys"`
	Hash         uint32            `json:"hash"` // of the keys at that revision
	TookMS       int64             `json:"took_ms"`
	Members      []recoveredMember `json:"members"`
	Steps        []tookStep        `json:"steps"`
}

// tookStep is how long a step took.
type tookStep struct {
	Step   string `json:"step"`
	TookMS int64  `json:"took_ms"`
}

func (a *app) showRebuilt(progress *recoverProgress, journal *recovery.Journal, took time.Duration) error {
	p := journal.Plan.Rebuild
	out := rebuiltJSON{
		Schema: "etcdops.rebuilt/v1", Operation: journal.Operation(), OldClusterID: journal.Plan.ClusterID, Complete: p.Verdict.Complete, Verdict: p.Verdict.Text,
		TookMS: took.Milliseconds(), Members: []recoveredMember{}, Steps: stepTimes(journal),
	}
	made, err := recovery.Rebuilt(journal)
	if err != nil {
		return err
	}
	out.ClusterID, out.Revision, out.Keys, out.Hash = made.ClusterID, made.Serves.Revision, made.Proof.Keys, made.Serves.Hash
	for _, t := range p.Members {
		m := recoveredMember{Name: t.Name}
		if _, err := journal.Get("id:"+t.Name, &m.ID); err != nil {
			return err
		}
		if m.Asides, err = recovery.Asides(journal, t.Name); err != nil {
			return err
		}
		out.Members = append(out.Members, m)
	}
	if a.out == "json" {
		return progress.document(out)
	}
	return a.printRebuilt(out, took)
}

func (a *app) printRebuilt(r rebuiltJSON, took time.Duration) error {
	out := a.io.Out
	fmt.Fprintf(out, "REBUILT  %s  %d members, revision %d, %d keys, hash %d; equal on all; took %s\n", r.ClusterID, len(r.Members), r.Revision, r.Keys, r.Hash, took.Round(100*time.Millisecond))
	fmt.Fprintln(out, ui.Wrap(oneLine(r.Verdict), 0, ui.MaxColumns, 2))
	for _, m := range r.Members {
		field(a.io, m.Name, "is member "+m.ID.String()+" now")
		for _, as := range m.Asides {
			field(a.io, "", "its old data are kept in "+as.Path)
		}
	}
	for _, s := range r.Steps {
		if s.TookMS >= 100 {
			field(a.io, fmt.Sprintf("%.1f s", float64(s.TookMS)/1000), s.Step)
		}
	}
	_, err := fmt.Fprintln(out, "next: etcdops health; clients go on with the same endpoints; the old directories are yours to keep or remove")
	return err
}

// stepTimes are the times between the intents and the ends of steps, over all runs.
func stepTimes(journal *recovery.Journal) []tookStep {
	begun := map[string]time.Time{}
	var out []tookStep
	for _, r := range journal.Records() {
		switch r.Type {
		case recovery.RecordIntent:
			begun[r.Step] = r.Time
		case recovery.RecordDone:
			if at, ok := begun[r.Step]; ok {
				out = append(out, tookStep{r.Step, r.Time.Sub(at).Milliseconds()})
			}
		}
	}
	return out
}
