package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

const memberAddHelp = `Adds a member, as a learner unless --voter is given: a learner receives the log and does not count until it is promoted, so
that the cluster loses nothing if it never starts. Prints how the new node must be started, in every form that nodes are
started by. With --promote it then waits until the learner has started and has applied everything, and promotes it.

Refused where the server's own check would refuse (with one of three dead even a learner), where data are known to
differ, and where the peer URL belongs to another member.

` + changeExitCodes

// addOptions are the settings of `member add`.
type addOptions struct {
	changeOptions
	peers, clients  string
	learner, voter  bool
	promote         bool
	dataDir, walDir string
	startLimit      time.Duration
}

// startJSON is how the new member must be started, in every form.
type startJSON struct {
	Settings    []ops.StartSetting `json:"settings"`
	Notes       []string           `json:"notes"`
	Flags       []string           `json:"flags"`
	Environment []string           `json:"environment"`
	YAML        string             `json:"yaml"`
	Systemd     string             `json:"systemd_drop_in"`
	StaticPod   string             `json:"static_pod"`
}

func newMemberAddCmd(a *app) *cobra.Command {
	var opts addOptions
	cmd := &cobra.Command{
		Use:   "add <name> --peer-urls=URL",
		Short: "Add a member: as a learner first, and show how to start it",
		Long:  memberAddHelp,
		Example: `  etcdops member add m4 --peer-urls=https://10.0.0.14:2380
  etcdops member add m4 --peer-urls=https://10.0.0.14:2380 --promote --yes`,
		Args: exactArgs("the new member's name"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runMemberAdd(cmd, args[0], opts) },
	}
	fs := cmd.Flags()
	fs.StringVar(&opts.peers, "peer-urls", "", "peer URLs of the new member, separated by commas")
	fs.BoolVar(&opts.learner, "learner", true, "add it as a learner")
	fs.BoolVar(&opts.voter, "voter", false, "add it as a voter at once: it counts before it has started")
	fs.BoolVar(&opts.promote, "promote", false, "wait until the learner has started and caught up, then promote it")
	fs.StringVar(&opts.clients, "client-urls", "", "client URLs for the start configuration (default: the peer URLs' hosts, port 2379)")
	fs.StringVar(&opts.dataDir, "data-dir", "", "data directory for the start configuration")
	fs.StringVar(&opts.walDir, "wal-dir", "", "separate WAL directory for the start configuration")
	fs.DurationVar(&opts.startLimit, "start-timeout", 10*time.Minute, "with --promote: how long to wait for the new member to start")
	opts.addFlags(cmd)
	return cmd
}

// peerURLs reads and checks peer URLs as etcd wants them: scheme, host, port, and no path.
func peerURLs(cmd *cobra.Command, text string) ([]string, error) {
	if text == "" {
		return nil, usageError(cmd, errors.New("--peer-urls is missing"))
	}
	urls := strings.Split(text, ",")
	for _, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return nil, usageError(cmd, fmt.Errorf("--peer-urls: %w", err))
		case u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" || u.Path != "":
			return nil, usageError(cmd, fmt.Errorf("--peer-urls: %q is not of the form https://HOST:2380", s))
		}
	}
	return urls, nil
}

func (a *app) runMemberAdd(cmd *cobra.Command, name string, opts addOptions) error {
	urls, err := peerURLs(cmd, opts.peers)
	switch {
	case err != nil:
		return err
	case opts.voter && cmd.Flags().Changed("learner") && opts.learner:
		return usageError(cmd, errors.New("--voter and --learner contradict each other"))
	case (opts.voter || !opts.learner) && opts.promote:
		return usageError(cmd, errors.New("--promote is for learners"))
	}
	change := ops.Change{Kind: ops.ChangeAddLearner, Name: name, PeerURLs: urls}
	as := "a learner"
	if opts.voter || !opts.learner {
		change.Kind, as = ops.ChangeAddVoter, "a voter"
	}
	plan := func(ops.Observation) (planned, error) {
		var preview []ops.Change
		if opts.promote {
			preview = []ops.Change{change, {Kind: ops.ChangeStart, Name: name}, {Kind: ops.ChangePromote, Name: name}}
		}
		return planned{changes: []ops.Change{change}, preview: preview, word: name, to: "add " + name + " (" + opts.peers + ") as " + as}, nil
	}
	return a.change(cmd, opts.changeOptions, plan, func(cluster *ops.Cluster, doc *changeJSON) error {
		return a.added(cmd, cluster, name, opts, doc)
	})
}

// added shows how to start the new member, and goes on to promote it where that was asked for.
func (a *app) added(cmd *cobra.Command, cluster *ops.Cluster, name string, opts addOptions, doc *changeJSON) error {
	result := doc.Results[0]
	start := ops.StartOptions{Name: name, DataDir: opts.dataDir, WALDir: opts.walDir}
	if opts.clients != "" {
		start.ClientURLs = strings.Split(opts.clients, ",")
	}
	conf, err := ops.StartConfigFor(result.Membership, result.Change.Member, start)
	if err != nil {
		return err
	}
	doc.Start = &startJSON{
		Settings: conf.Settings, Notes: conf.Notes, Flags: conf.Flags(), Environment: conf.Environment(), YAML: conf.YAML(),
		Systemd: conf.SystemdDropIn(), StaticPod: conf.StaticPod(),
	}
	switch { // it is needed now, a document comes at the end
	case !a.structured():
		printStart(a.io.Out, conf)
	case opts.promote && a.out == "json":
		newChangeProgress(a).event(changeEventJSON{Time: time.Now().UTC(), Kind: "start", Text: "start " + name + " now", Start: doc.Start})
	case opts.promote:
		printStart(a.io.Err, conf)
	}
	id := result.Change.Member
	if !opts.promote {
		if result.Change.Kind == ops.ChangeAddLearner && !a.structured() {
			return a.say("when it has started: etcdops member promote " + id.String())
		}
		return nil
	}
	return a.promoteAdded(cmd, cluster, id, opts, doc)
}

// promoteAdded waits for the start of the learner, and promotes it.
func (a *app) promoteAdded(cmd *cobra.Command, cluster *ops.Cluster, id ops.MemberID, opts addOptions, doc *changeJSON) error {
	half := func(err error) error {
		return &ops.HintError{
			Class: ops.ClassResumable, Op: cmd.CommandPath(), Err: fmt.Errorf("the learner %s was added and not promoted: %w", id, err),
			Hint: "etcdops member promote " + id.String() + " goes on; etcdops member remove " + id.String() + " takes it back",
		}
	}
	progress := newChangeProgress(a)
	ctx, cancel := context.WithTimeout(cmd.Context(), opts.startLimit)
	defer cancel()
	if err := cluster.WaitLive(ctx, id, progress.tell); err != nil {
		return half(err)
	}
	want := planned{changes: []ops.Change{{Kind: ops.ChangePromote, Member: id}}, list: doc.Results[0].Membership}
	if err := a.makeChanges(cmd, cluster, opts.changeOptions, want, doc); err != nil {
		return half(err)
	}
	return nil
}

// printStart writes the start of a member in every form.
func printStart(w io.Writer, c ops.StartConfig) {
	section := func(title, text string) {
		fmt.Fprintf(w, "\n%s\n", title)
		for line := range strings.Lines(text) {
			fmt.Fprintf(w, "  %s\n", ui.Safe(strings.TrimRight(line, "\n")))
		}
	}
	fmt.Fprintln(w, "start the new member with one of these:")
	section("flags of etcd, or of etcdops serve:", strings.Join(c.Flags(), "\n"))
	section("variables (/etc/default/etcd, /etc/etcd.env):", strings.Join(c.Environment(), "\n"))
	section("configuration file (--config-file):", c.YAML())
	section("systemd (/etc/systemd/system/etcd.service.d/join.conf):", c.SystemdDropIn())
	section("static pod (/etc/kubernetes/manifests/etcd.yaml):", c.StaticPod())
	fmt.Fprintln(w)
	for _, n := range c.Notes {
		fmt.Fprintln(w, ui.Wrap("- "+oneLine(n), 0, ui.MaxColumns, 2))
	}
}
