package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/ops"
)

const quorumHelp = `Shows who counts towards the quorum, who was just seen to live, and how many more may fail. With changes it
thinks them through in the order given, without making any: the tolerance after each step and at the worst moment, the
risks by name, and what the server's own check will say.

A member is live when it answers as itself, follows the leader, and brings a read to the leader and back. Members that
never started count as votes that are missing. Nothing is sent that the cluster would have to commit.

Formats (-w): table (default), json and yaml (schema etcdops.quorum/v1).

Exit codes: 0 there is a quorum, and every change is safe; 3 a change would be refused, or has a risk that was not
accepted; 5 no quorum, or no member answers; 2 usage; 130 interrupted.`

func newQuorumCmd(a *app) *cobra.Command {
	var changes changeList
	var accept []string
	cmd := &cobra.Command{
		Use:   "quorum",
		Short: "Who counts, who lives, and what a change would do to that",
		Long:  quorumHelp,
		Example: `  etcdops quorum
  etcdops quorum --stop m2
  etcdops quorum --remove m3 --add m4 --start m4 --promote m4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runQuorum(cmd, changes, accept) },
	}
	for _, f := range []struct {
		name string
		kind ops.ChangeKind
		use  string
	}{
		{"remove", ops.ChangeRemove, "think a member gone for good: name, ID or URL"},
		{"add", ops.ChangeAddLearner, "think a new member added as a learner: NAME, or NAME=PEER-URL"},
		{"add-voter", ops.ChangeAddVoter, "think a new member added as a voter: NAME, or NAME=PEER-URL"},
		{"promote", ops.ChangePromote, "think a learner promoted to a voter"},
		{"stop", ops.ChangeStop, "think a member down"},
		{"start", ops.ChangeStart, "think a member started, and caught up"},
		{"move-leader", ops.ChangeMoveLeader, "think another voter leading"},
		{"update", ops.ChangeUpdate, "think a member's peer URL replaced: MEMBER=PEER-URL; the address is tried"},
	} {
		cmd.Flags().Var(&changeFlag{&changes, f.kind}, f.name, f.use)
	}
	addAcceptFlag(cmd, &accept)
	return cmd
}

// changeList is changes in the order of the command line, whichever flags they came by.
type changeList []changeWord

// changeWord is one change as typed.
type changeWord struct {
	kind  ops.ChangeKind
	value string
}

// changeFlag is a flag that adds to the list.
type changeFlag struct {
	list *changeList
	kind ops.ChangeKind
}

// String implements pflag.Value.
func (f *changeFlag) String() string { return "" }

// Type implements pflag.Value.
func (f *changeFlag) Type() string { return "member" }

// Set implements pflag.Value.
func (f *changeFlag) Set(value string) error {
	if value == "" {
		return errors.New("a member is missing")
	}
	*f.list = append(*f.list, changeWord{f.kind, value})
	return nil
}

// change turns what was typed into a change of the observed cluster.
func (w changeWord) change(o ops.Observation) (ops.Change, error) {
	name, url, hasURL := strings.Cut(w.value, "=")
	switch w.kind {
	case ops.ChangeAddLearner, ops.ChangeAddVoter:
		if !hasURL {
			url = "(" + name + ")" // an address that nobody has
		}
		return ops.Change{Kind: w.kind, Name: name, PeerURLs: strings.Split(url, ",")}, nil
	case ops.ChangeUpdate:
		if !hasURL {
			return ops.Change{}, fmt.Errorf("--update is MEMBER=PEER-URL, not %q", w.value)
		}
		m, err := o.Membership().Find(name)
		return ops.Change{Kind: w.kind, Member: m.ID, PeerURLs: strings.Split(url, ",")}, err
	default:
		m, err := o.Membership().Find(w.value)
		if err != nil { // a member that a change before this one adds
			return ops.Change{Kind: w.kind, Name: w.value}, nil //nolint:nilerr // the proof refuses what it does not find
		}
		return ops.Change{Kind: w.kind, Member: m.ID}, nil
	}
}

func (a *app) runQuorum(cmd *cobra.Command, words changeList, accept []string) error {
	if err := checkRisks(cmd, accept); err != nil {
		return err
	}
	cluster, err := a.openCluster(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // nothing was written
	proof, err := a.thinkThrough(cmd, cluster, words, accept)
	if err != nil {
		return err
	}
	if err := a.print(cmd, proof, func() error { return printProof(a.io, proof, true) }); err != nil {
		return err
	}
	switch {
	case proof.Now.Tolerance < 0:
		return exitSilentError{ops.ClassUnreachable}
	case !proof.Safe:
		return exitSilentError{ops.ClassCritical}
	}
	return nil
}

// thinkThrough observes the cluster and proves or refutes the changes without making one.
func (a *app) thinkThrough(cmd *cobra.Command, cluster *ops.Cluster, words changeList, accept []string) (ops.Proof, error) {
	o, err := cluster.Observe(cmd.Context())
	if err != nil {
		return ops.Proof{}, err
	}
	var changes []ops.Change
	for _, w := range words {
		c, err := w.change(o)
		if err != nil {
			return ops.Proof{}, usageError(cmd, err)
		}
		changes = append(changes, c)
	}
	if o, err = addresses(cmd.Context(), cluster, o, changes); err != nil {
		return ops.Proof{}, err
	}
	lookStrict(&o)
	return ops.CheckChange(o, time.Now(), ops.CheckOptions{Accept: accept, WhatIf: true}, changes...)
}

// addresses looks at the peer URLs that changes bring in, where they are any.
func addresses(ctx context.Context, cluster *ops.Cluster, o ops.Observation, changes []ops.Change) (ops.Observation, error) {
	var tried []ops.Change
	for _, c := range changes {
		if len(c.PeerURLs) > 0 && strings.Contains(c.PeerURLs[0], "://") {
			tried = append(tried, c)
		}
	}
	if len(tried) == 0 {
		return o, nil
	}
	return cluster.ObserveFor(ctx, tried...)
}
