package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/node"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

const recoverMemberHelp = `Replaces members that failed: proves the quorum, takes a verified backup, stops the member and keeps it stopped, removes
its ID, sets its directories aside (nothing is deleted), adds it as a learner, starts it, waits until it has applied all
data, promotes it, and compares the hashes of all members. Each step is proven right before it is taken, and journalled.

The plan is printed and confirmed first; --dry-run prints it and changes nothing. A run that was stopped or killed
anywhere goes on with --resume. Two members at once (recover member A B) are both removed before one is added again.

Without a quorum this is refused, with nothing changed.

--via says how the member's machine is worked on; without it, what is found on this machine is used, or a person is told
what to type:
  systemd:UNIT     a service of this machine
  static-pod:FILE  a static pod of the kubelet, by its manifest (kubeadm's when left out)
  process:FILE     etcdops starts the member by the command in FILE (YAML: command, env, dir, log)
  ssh:HOST/DRIVER  the same on another machine, by etcdops there (ssh:cp-3/systemd:etcd); its host key must be known
  hooks:PROGRAM    a program of yours: a request as JSON on its input, the answer on its output
  manual           etcdops prints what to do there, and goes on when it sees that it was done
With several members: --via NAME=DRIVER:ARGUMENT, once for each.

--backup-to DIRECTORY takes a snapshot whose checksum is verified; a URL takes a backup into that repository as etcdops backup
create does, all of it read and checked, encrypted as ETCDOPS_BACKUP_RECIPIENTS_FILE or ETCDOPS_BACKUP_PASSPHRASE_FILE say.

Exit codes: 0 recovered; 4 refused, nothing changed; 5 no member answers; 6 stopped half-way, --resume goes on; 2 usage;
3 the members' data differ; 1 failure with nothing changed; 130 interrupted.`

// memberOptions are the flags of recover member.
type memberOptions struct {
	state      stateOptions
	dryRun     bool
	resume     bool
	yes        bool
	fenced     bool
	operation  string
	planFile   string
	sshConfig  string
	backupTo   string
	via        []string
	peerURLs   []string
	accept     []string
	stallAfter time.Duration
}

func (o *memberOptions) addFlags(fs *pflag.FlagSet) {
	o.state.addFlags(fs)
	fs.BoolVar(&o.dryRun, "dry-run", false, "print the plan and change nothing")
	fs.BoolVar(&o.resume, "resume", false, "go on with the operation that was stopped half-way")
	fs.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	fs.BoolVar(&o.fenced, "fenced", false, "you know that the member's machine is off and stays off, though nothing here can see it")
	fs.StringVar(&o.operation, "operation", "", "with --resume: the operation, when several are not finished")
	fs.StringVar(&o.planFile, "plan", "", "carry out the plan in this file (of --dry-run -w json), if it still holds")
	fs.StringVar(&o.backupTo, "backup-to", "", "where the backup goes: a directory (default: where the journals are), or a backup repository as s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX, file:///DIRECTORY")
	fs.StringArrayVar(&o.via, "via", nil, "how the member's machine is worked on: [MEMBER=]DRIVER[:ARGUMENT]")
	fs.StringVar(&o.sshConfig, "ssh-config", "", "configuration file for ssh (its own otherwise); the plan keeps it for --resume")
	fs.StringSliceVar(&o.peerURLs, "peer-urls", nil, "new peer URLs of the member (default: those that it had); with --resume instead of those of the plan, while it is not added")
	fs.StringSliceVar(&o.accept, "accept-risk", nil, "a named risk that is taken: no-backup")
	fs.DurationVar(&o.stallAfter, "stall-after", time.Minute, "without progress for so long, a new member is taken back")
}

// riskNoBackup is the risk of going on without a backup.
const riskNoBackup = "no-backup"

func (o *memberOptions) validate(cmd *cobra.Command, args []string) error {
	switch {
	case o.resume && (o.dryRun || o.planFile != "" || len(args) > 0):
		return usageError(cmd, errors.New("--resume goes on with a plan that was confirmed: it takes no members, --plan or --dry-run"))
	case o.planFile != "" && (len(args) > 0 || o.dryRun):
		return usageError(cmd, errors.New("--plan names the members itself, and has been printed"))
	case !o.resume && o.planFile == "" && len(args) == 0:
		return usageError(cmd, errors.New("name the member to be recovered: its name, ID or URL"))
	case len(o.peerURLs) > 0 && len(args) > 1:
		return usageError(cmd, errors.New("--peer-urls is for one member"))
	case o.stallAfter <= 0:
		return usageError(cmd, fmt.Errorf("--stall-after is a duration above 0, not %v", o.stallAfter))
	}
	for _, risk := range o.accept {
		if risk != riskNoBackup {
			return usageError(cmd, fmt.Errorf("there is no risk %q here; there is %s", risk, riskNoBackup))
		}
	}
	return nil
}

func newRecoverMemberCmd(a *app) *cobra.Command {
	var o memberOptions
	cmd := &cobra.Command{
		Use:   "member NAME|ID|URL...",
		Short: "Replace members that failed, while the others have a quorum",
		Long:  recoverMemberHelp,
		Example: `  etcdops recover member cp-3 --dry-run
  etcdops recover member cp-3 --via ssh:root@cp-3/systemd:etcd
  etcdops recover member --resume`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.recoverMember(cmd, &o, args) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// recoverRun is one run of recover member.
type recoverRun struct {
	*app
	cmd      *cobra.Command
	opts     *memberOptions
	cluster  *ops.Cluster
	progress *recoverProgress
}

func (a *app) recoverMember(cmd *cobra.Command, o *memberOptions, args []string) error {
	if err := o.validate(cmd, args); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "table", "simple", "json"}, a.out) {
		return badFormat(cmd, a.out, "table", "json")
	}
	resolved, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	cluster, err := ops.Dial(cmd.Context(), resolved.Config)
	if err != nil {
		return orRebuild(err)
	}
	defer func() { _ = cluster.Close() }() // what was done stands
	r := &recoverRun{app: a, cmd: cmd, opts: o, cluster: cluster, progress: newRecoverProgress(a)}
	if o.resume {
		return r.resumeRun(cmd.Context())
	}
	return r.begin(cmd.Context(), args)
}

// orRebuild names the way out beside the cause when nobody answers: what is down may never come back.
func orRebuild(err error) error {
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Class == ops.ClassUnreachable {
		told := *hint
		told.Hint = strings.TrimPrefix(told.Hint+"; when no majority can be started again: etcdops rebuild-cluster plan --from NAME=DATA-DIR", "; ")
		return &told
	}
	return err
}

// orResume names an operation that was stopped half-way, where what it left is what stands in the way.
func (r *recoverRun) orResume(ctx context.Context, err error) error {
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassRefused {
		return err
	}
	seen, lookErr := r.cluster.Observe(ctx)
	open, openErr := r.opts.state.open().Unfinished(recovery.KindMember, seen.ClusterID)
	if lookErr != nil || openErr != nil || open == nil || !open.Changed() {
		return err
	}
	told := *hint
	told.Hint = fmt.Sprintf("operation %s was stopped half-way and may have left that: etcdops recover member --resume%s", open.Operation(), r.opts.state.flag())
	return &told
}

// begin makes a plan, or reads one, and carries it out once it is confirmed.
func (r *recoverRun) begin(ctx context.Context, args []string) error {
	plan, requests, err := r.plan(ctx, args)
	if err != nil {
		return r.orResume(ctx, err)
	}
	if r.opts.dryRun && r.out == "json" {
		return ui.JSON(r.io.Out, plan)
	}
	if err := r.opts.state.open().Clear(plan.ClusterID); err != nil && !r.opts.dryRun {
		return r.opts.state.named(err)
	} else if err != nil {
		fmt.Fprintln(r.io.Err, "this plan could not be carried out now:", ui.Safe(r.opts.state.named(err).Error()))
	}
	if err := r.showPlan(plan); err != nil || r.opts.dryRun {
		return err
	}
	if err := r.confirm(ctx, plan); err != nil {
		return err
	}
	journal, held, err := r.opts.state.open().BeginMember(ctx, r.cluster, plan, requests)
	if err != nil {
		return err
	}
	nodes := map[string]recovery.Node{}
	for i, t := range plan.Member.Targets {
		nodes[t.Name] = requests[i].Node
	}
	return r.execute(ctx, journal, held, nodes)
}

func (r *recoverRun) confirm(ctx context.Context, plan *recovery.Plan) error {
	if r.opts.yes {
		return nil
	}
	var names []string
	for _, t := range plan.Member.Targets {
		names = append(names, t.Name)
	}
	word := strings.Join(names, " ")
	return ui.Confirm(ctx, r.io, ui.Confirmation{Op: r.cmd.CommandPath(), Word: word, To: "remove " + word + " and add it again"})
}

// plan makes the plan of the members named, or reads that of --plan.
func (r *recoverRun) plan(ctx context.Context, args []string) (*recovery.Plan, []recovery.Request, error) {
	if r.opts.planFile != "" {
		return r.readPlan(ctx)
	}
	requests, via, err := r.requests(ctx, args)
	if err != nil {
		return nil, nil, err
	}
	facts, err := recovery.CollectMember(ctx, r.cluster, requests)
	if err != nil {
		return nil, nil, err
	}
	ssh, err := absolute(r.opts.sshConfig)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	options := recovery.Options{
		Now: now, Operation: recovery.NewOperation(now), Via: via, SSHConfig: ssh, NoBackup: slices.Contains(r.opts.accept, riskNoBackup),
	}
	if !options.NoBackup {
		if options.BackupTo, err = r.backupPlace(options.Operation); err != nil {
			return nil, nil, err
		}
	}
	plan, err := recovery.PlanMember(facts, options)
	return plan, requests, err
}

// requests opens the machine of each member named.
func (r *recoverRun) requests(ctx context.Context, args []string) ([]recovery.Request, []string, error) {
	given, err := r.viaOf(args)
	if err != nil {
		return nil, nil, err
	}
	var requests []recovery.Request
	var via []string
	for _, ref := range args {
		n, resolved, err := node.Open(ctx, given[ref], r.nameOf(ctx, ref), r.nodeOptions(""))
		if err != nil {
			return nil, nil, err
		}
		requests = append(requests, recovery.Request{Ref: ref, Node: n, Fenced: r.opts.fenced, PeerURLs: r.opts.peerURLs})
		via = append(via, resolved)
	}
	return requests, via, nil
}

// nodeOptions are what drivers need; planned is ssh's configuration in a plan, which --ssh-config goes before.
func (r *recoverRun) nodeOptions(planned string) node.Options {
	return node.Options{Say: r.progress.say, SSHConfig: cmp.Or(r.opts.sshConfig, planned)}
}

// nameOf is the name of a member that is given by its name, ID or URL: machines know members by name. What is no member
// is refused later, with the rest of the plan.
func (r *recoverRun) nameOf(ctx context.Context, ref string) string {
	seen, err := r.cluster.Observe(ctx)
	if err != nil {
		return ref
	}
	if m, err := seen.Membership().Find(ref); err == nil && m.Started() {
		return m.Name
	}
	return ref
}

// viaOf sorts --via by member.
func (r *recoverRun) viaOf(args []string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range r.opts.via {
		member, driver, named := strings.Cut(v, "=")
		switch {
		case named && slices.Contains(args, member):
			out[member] = driver
		case len(args) == 1 && (!named || strings.ContainsAny(member, ":/")):
			out[args[0]] = v
		default:
			return nil, usageError(r.cmd, fmt.Errorf("--via %s: with several members it is MEMBER=DRIVER, for a member that is named", v))
		}
	}
	return out, nil
}

// readPlan reads the plan of --plan.
func (r *recoverRun) readPlan(ctx context.Context) (*recovery.Plan, []recovery.Request, error) {
	bad := func(err error) error {
		return &ops.HintError{
			Code: recovery.CodePlan, Class: ops.ClassUsage, Op: "read plan", Member: r.opts.planFile, Err: err,
			Hint: "make it with --dry-run -w json",
		}
	}
	data, err := os.ReadFile(r.opts.planFile)
	if err != nil {
		return nil, nil, bad(err)
	}
	plan := &recovery.Plan{}
	if err := json.Unmarshal(data, plan); err != nil {
		return nil, nil, bad(err)
	}
	if err := plan.Verify(); err != nil {
		return nil, nil, bad(err)
	}
	if plan.Kind != recovery.KindMember || plan.Member == nil {
		return nil, nil, bad(fmt.Errorf("it is of %s", plan.Kind))
	}
	var requests []recovery.Request
	for _, t := range plan.Member.Targets {
		n, _, err := node.Open(ctx, t.Via, t.Name, r.nodeOptions(t.SSHConfig))
		if err != nil {
			return nil, nil, err
		}
		requests = append(requests, recovery.Request{Ref: t.Old.ID.String(), Node: n, Fenced: t.Fenced, PeerURLs: t.PeerURLs})
	}
	return plan, requests, nil
}

// resumeRun goes on with an operation of this machine.
func (r *recoverRun) resumeRun(ctx context.Context) error {
	seen, err := r.cluster.Observe(ctx)
	if err != nil {
		return err
	}
	journal, held, err := r.opts.state.open().ResumeMember(seen.ClusterID, r.opts.operation)
	if err != nil {
		return err
	}
	if len(r.opts.peerURLs) > 0 {
		if err := journal.Readdress(r.opts.peerURLs); err != nil {
			return errors.Join(err, journal.Close(), held.Release())
		}
	}
	nodes := map[string]recovery.Node{}
	for _, t := range journal.Plan.Member.Targets {
		n, _, err := node.Open(ctx, t.Via, t.Name, r.nodeOptions(t.SSHConfig))
		if err != nil {
			return errors.Join(err, journal.Close(), held.Release())
		}
		nodes[t.Name] = n
	}
	if err := r.showPlan(journal.Plan); err != nil {
		return errors.Join(err, journal.Close(), held.Release())
	}
	return r.execute(ctx, journal, held, nodes)
}

// execute carries the journal's plan out and tells the result.
func (r *recoverRun) execute(ctx context.Context, journal *recovery.Journal, held io.Closer, nodes map[string]recovery.Node) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	run := recovery.MemberRun{
		Cluster: r.cluster, Journal: journal, Nodes: nodes, Events: r.progress.event, StallAfter: r.opts.stallAfter,
		Me: recovery.Holder{Operation: journal.Operation(), Host: host, PID: os.Getpid(), Since: time.Now().UTC()},
	}
	run.Backup = r.backupOf(journal)
	begun := time.Now()
	stop := r.progress.start(ctx)
	err = run.Execute(ctx)
	stop()
	err = errors.Join(err, journal.Close(), held.Close())
	if err != nil {
		return r.opts.state.named(err)
	}
	return r.showResult(ctx, journal, time.Since(begun))
}
