package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/node"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// rebuildOptions are the settings that the commands of a rebuild share.
type rebuildOptions struct {
	from      []string
	walDirs   []string
	snapshots []string
	binaries  []string
	seed      string
	atOnce    int
	members   string
	out       string
	via       []string
	sshConfig string
	backups   []string
	repo      backupOptions
}

func (o *rebuildOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.from, "from", nil, "a data directory that is left, NAME=DIR, or NAME=ssh:HOST:/DIR on another machine; once for each")
	fs.StringArrayVar(&o.walDirs, "wal-dir", nil, "where a member's log is, when not in its data directory, NAME=DIR")
	fs.StringArrayVar(&o.snapshots, "snapshot", nil, "a snapshot file as a further source; once for each")
	fs.StringArrayVar(&o.backups, "backup", nil, "a backup of the repository (--repo) as a further source: the beginning of its ID, or latest")
	o.repo.addPlace(fs)
	o.repo.addKeys(fs)
	o.repo.addSpool(fs)
	o.addSSH(fs)
}

func (o *rebuildOptions) addSSH(fs *pflag.FlagSet) {
	fs.StringVar(&o.sshConfig, "ssh-config", "", "configuration file for ssh (its own otherwise); the plan keeps it")
}

func (o *rebuildOptions) addPlanFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.binaries, "etcd-binary", nil, "an etcd program that may replay the log, of the minor version that wrote it; etcd in PATH is looked at too")
	fs.StringArrayVar(&o.via, "via", nil, "how a member's machine is worked on, NAME=DRIVER[:ARGUMENT]; its directory is a source without --from")
	fs.StringVar(&o.seed, "seed", "", "make the cluster of this source, not of the best one")
	fs.IntVar(&o.atOnce, "at-once", 1, "members that join at the same time, 1 or 2; 2 where every server is started with max-learners 2")
	fs.StringVar(&o.members, "members", "", "members of the new cluster, NAME or NAME=PEER-URL, separated by commas; by default the old voters")
}

func newRebuildCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild-cluster",
		Short: "Make a cluster again of what is left when the majority is gone",
		Long: `Makes a cluster of the data directories and snapshots that are left when a majority of the members is lost for good.

The best source is found by evidence, and what is and is not lost is said before anything is done. The log's entries
beyond the last known commit are kept: clients may have been told that they were written.

  etcdops rebuild-cluster inspect --from m1=/var/lib/etcd --from m2=/mnt/m2/etcd
  etcdops rebuild-cluster plan    --from m1=/var/lib/etcd --from m2=/mnt/m2/etcd
  etcdops rebuild-cluster apply   --via m1=process:m1.yaml --via m2=process:m2.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: needSubcommand,
	}
	cmd.AddCommand(newRebuildInspectCmd(a), newRebuildPlanCmd(a), newRebuildApplyCmd(a), newRebuildResumeCmd(a))
	return cmd
}

func newRebuildInspectCmd(a *app) *cobra.Command {
	var opts rebuildOptions
	cmd := &cobra.Command{
		Use:   "inspect --from NAME=DIR...",
		Short: "What each source holds, side by side",
		Long: `Inspects all sources, as etcdops inspect does each, and shows them side by side. Nothing is changed; a directory that a
member is using is read all the same.

Formats (-w): table; wide shows each source in full; json and yaml (schema etcdops.inspect/v1).

Exit codes: 0; 3 when a source is damaged; 1 when one cannot be opened; 2 usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRebuildInspect(cmd, opts) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func newRebuildPlanCmd(a *app) *cobra.Command {
	var opts rebuildOptions
	cmd := &cobra.Command{
		Use:   "plan --from NAME=DIR...",
		Short: "Which source is the best, what would be lost, and every step",
		Long: `Inspects all sources and says which one the new cluster would be made of, why, what each other one lacks, whether an
acknowledged write can be lost, and every step that would be taken. Nothing is changed.

"complete" is a proof: enough intact logs of voters are here that none of the acknowledged writes can be missing. "possibly
lossy" names the entry and revision up to which everything is kept. docs/theory-of-recovery.md has both theorems.

With --out the plan is saved, with a hash that says so when it is changed.

Formats (-w): table, json and yaml (schema etcdops.plan/v1).

Exit codes: 0 there is a plan; 4 refused, the error says why; 1 or 2 otherwise.`,
		Example: `  etcdops rebuild-cluster plan --from m1=/var/lib/etcd --from m2=/mnt/m2/etcd
  etcdops rebuild-cluster plan --from m1=/var/lib/etcd --from m2=ssh:m2.example.com:/var/lib/etcd --backup latest
  etcdops rebuild-cluster plan --from /var/lib/etcd --snapshot backup.db --members m1,m4=https://10.0.0.4:2380`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRebuildPlan(cmd, opts) },
	}
	opts.addFlags(cmd.Flags())
	opts.addPlanFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.out, "out", "", "save the plan in this file")
	return cmd
}

// sources reads --from, --wal-dir and --snapshot.
func (o *rebuildOptions) sources(cmd *cobra.Command) ([]recovery.Source, error) {
	wal := map[string]string{}
	for _, text := range o.walDirs {
		name, dir, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usageError(cmd, fmt.Errorf("--wal-dir is NAME=DIR, not %q", text))
		}
		wal[name] = dir
	}
	var out []recovery.Source
	names := map[string]bool{}
	for _, text := range o.from {
		source, err := sourceOf(text)
		if err != nil || source.Name != "" && names[source.Name] {
			return nil, usageError(cmd, fmt.Errorf("--from is NAME=DIR or NAME=ssh:HOST:/DIR, each name once, not %q", text))
		}
		names[source.Name] = true
		source.WALDir = wal[source.Name]
		out = append(out, source)
		delete(wal, source.Name)
	}
	for name := range wal {
		return nil, usageError(cmd, fmt.Errorf("--wal-dir names %q, and no --from does", name))
	}
	for _, file := range o.snapshots {
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		out = append(out, recovery.Source{Name: filepath.Base(file), Path: abs})
	}
	for _, text := range o.via {
		if name, _, ok := strings.Cut(text, "="); ok && !names[name] {
			out = append(out, recovery.Source{Name: name, WALDir: wal[name]})
		}
	}
	if len(out) == 0 && len(o.backups) == 0 && o.repo.repo == "" {
		return nil, usageError(cmd, errors.New("no source is named: --from NAME=DIR, --snapshot FILE, --repo REPOSITORY (its newest backup)"))
	}
	return out, nil
}

// sourceOf reads one --from.
func sourceOf(text string) (recovery.Source, error) {
	name, dir, ok := strings.Cut(text, "=")
	if !ok {
		name, dir = "", text
	}
	if rest, remote := strings.CutPrefix(dir, "ssh:"); remote {
		host, path, ok := strings.Cut(rest, ":/")
		if !ok || host == "" {
			return recovery.Source{}, errors.New("it has no host or path")
		}
		return recovery.Source{Name: name, Path: "/" + path, Via: "ssh:" + host}, nil
	}
	if dir == "" {
		return recovery.Source{}, errors.New("it has no path")
	}
	abs, err := filepath.Abs(dir)
	return recovery.Source{Name: name, Path: abs}, err
}

// newMembers reads --members.
func (o *rebuildOptions) newMembers() []recovery.NewMember {
	var out []recovery.NewMember
	for text := range strings.SplitSeq(o.members, ",") {
		name, url, ok := strings.Cut(strings.TrimSpace(text), "=")
		if name == "" {
			continue
		}
		m := recovery.NewMember{Name: name}
		if ok {
			m.PeerURLs = strings.Split(url, ";")
		}
		out = append(out, m)
	}
	return out
}

// request says what a plan is to be made of.
func (a *app) rebuildRequest(cmd *cobra.Command, opts rebuildOptions, say func(string)) (recovery.RebuildRequest, error) {
	var req recovery.RebuildRequest
	var err error
	if req.Sources, err = opts.sources(cmd); err != nil {
		return req, err
	}
	fetched, err := a.fetchBackups(cmd, opts)
	if err != nil {
		return req, err
	}
	req.Sources = append(req.Sources, fetched...)
	if req.Servers, err = recovery.FindServers(cmd.Context(), opts.binaries); err != nil {
		return req, err
	}
	for _, text := range opts.via {
		name, via, ok := strings.Cut(text, "=")
		if !ok {
			return req, usageError(cmd, fmt.Errorf("--via is NAME=DRIVER, not %q", text))
		}
		n, via, err := node.Open(cmd.Context(), via, name, opts.node(say))
		if err != nil {
			return req, err
		}
		req.Nodes = append(req.Nodes, recovery.RebuildNode{Name: name, Via: via, Node: n})
	}
	if req.Remote, err = opts.remote(cmd.Context(), req.Sources, req.Nodes); err != nil {
		return req, err
	}
	if resolved, err := a.resolve(cmd); err == nil {
		req.Settings = resolved.Config
	}
	return req, nil
}

func (o *rebuildOptions) node(say func(string)) node.Options {
	return node.Options{Say: say, SSHConfig: o.sshConfig}
}

// remote opens the other machines of sources and members, by "ssh:HOST".
func (o *rebuildOptions) remote(ctx context.Context, sources []recovery.Source, nodes []recovery.RebuildNode) (map[string]recovery.Workshop, error) {
	out := map[string]recovery.Workshop{}
	open := func(via, name string) error {
		machine, _, _ := strings.Cut(via, "/")
		if !strings.HasPrefix(machine, "ssh:") || out[machine] != nil {
			return nil
		}
		n, _, err := node.Open(ctx, machine, cmp.Or(name, "source"), o.node(func(string) {}))
		if err != nil {
			return err
		}
		shop, ok := n.(recovery.Workshop)
		if !ok {
			return fmt.Errorf("%s is no machine that etcdops can inspect on", machine)
		}
		out[machine] = shop
		return nil
	}
	for _, s := range sources {
		if err := open(s.Via, s.Name); err != nil {
			return nil, err
		}
	}
	for _, n := range nodes {
		if err := open(n.Via, n.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bench is this machine as a place where new directories are made.
func bench(binaries []string) (recovery.Bench, error) {
	box, err := sandbox()
	return recovery.Bench{
		Inspector: box, Named: binaries, Own: recovery.Program{Path: box.Path, Args: []string{os.Args[0], programEtcd}},
	}, err
}

// rebuildFacts collects what a plan stands on.
func (a *app) rebuildFacts(cmd *cobra.Command, opts rebuildOptions) (recovery.RebuildFacts, error) {
	req, err := a.rebuildRequest(cmd, opts, func(string) {})
	if err != nil {
		return recovery.RebuildFacts{}, err
	}
	box, err := sandbox()
	if err != nil {
		return recovery.RebuildFacts{}, err
	}
	return recovery.CollectRebuild(cmd.Context(), box, req)
}

func (a *app) runRebuildInspect(cmd *cobra.Command, opts rebuildOptions) error {
	facts, err := a.rebuildFacts(cmd, opts)
	if err != nil {
		return err
	}
	doc := inspectJSON{Schema: datadir.Schema}
	damaged := false
	for _, c := range facts.Candidates {
		if c.Info == nil {
			return &ops.HintError{Class: ops.ClassFailure, Op: "inspect source", Member: c.Name, Err: errors.New(c.Problem), Hint: "etcdops inspect " + c.Path}
		}
		doc.Inspected = append(doc.Inspected, *c.Info)
		damaged = damaged || isDamaged(c.Info)
	}
	err = a.print(cmd, doc, func() error {
		if a.out == "wide" {
			return printInspections(a.io, doc.Inspected)
		}
		return printCandidates(a.io, facts)
	})
	if err == nil && damaged {
		return exitSilentError{ops.ClassCritical}
	}
	return err
}

func (a *app) runRebuildPlan(cmd *cobra.Command, opts rebuildOptions) error {
	facts, err := a.rebuildFacts(cmd, opts)
	if err != nil {
		return err
	}
	plan, err := a.planRebuild(facts, opts)
	if err != nil {
		return err
	}
	if opts.out != "" {
		text, err := json.MarshalIndent(plan, "", "  ")
		if err == nil {
			err = recovery.WriteFile(opts.out, append(text, '\n'), 0o600)
		}
		if err != nil {
			return &ops.HintError{Code: recovery.CodePlan, Class: ops.ClassFailure, Op: "save plan", Member: opts.out, Err: err, Hint: "name a file in a directory that exists"}
		}
	}
	return a.print(cmd, plan, func() error { return printRebuildPlan(a.io, plan) })
}

// absolute is a file's path wherever a later run is started, "" for none.
func absolute(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return filepath.Abs(file)
}

// planRebuild makes the plan; with a refusal it shows what was found, which says more.
func (a *app) planRebuild(facts recovery.RebuildFacts, opts rebuildOptions) (*recovery.Plan, error) {
	now := time.Now()
	ssh, err := absolute(opts.sshConfig)
	if err != nil {
		return nil, err
	}
	plan, err := recovery.PlanRebuild(facts, recovery.RebuildOptions{
		Now: now, Operation: recovery.NewOperation(now), Seed: opts.seed, Members: opts.newMembers(), AtOnce: opts.atOnce, SSHConfig: ssh,
	})
	if err != nil {
		_ = printCandidates(a.ioForRefusal(), facts)
	}
	return plan, err
}
