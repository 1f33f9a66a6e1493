package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3/command"

	"github.com/etcdops/etcdops/ops"
)

const changeExitCodes = `Exit codes: 0 the change was made and verified (or --dry-run); 1 failure; 2 usage; 4 refused, nothing was changed; 5 no
member answers; 6 stopped half-way, the error says how to go on; 130 interrupted.`

// newMemberCmd is etcdctl's `member list` beside commands of our own that prove a change before they make it.
func newMemberCmd(a *app) *cobra.Command {
	cmd := command.NewMemberCommand()
	for _, sub := range cmd.Commands() {
		if sub.Name() != "list" {
			cmd.RemoveCommand(sub)
		}
	}
	a.mount(cmd, a.prepareClient)
	cmd.Long = `Lists and changes the members of the cluster. Every change is proven to keep the quorum before it is made, goes through
the leader, and is verified on every member that works. etcdctl's own commands stay under its name: etcdops ctl member.`
	cmd.AddCommand(newMemberAddCmd(a), newMemberRemoveCmd(a), newMemberPromoteCmd(a), newMemberUpdateCmd(a))
	return cmd
}

func newMemberRemoveCmd(a *app) *cobra.Command {
	var opts changeOptions
	cmd := &cobra.Command{
		Use:   "remove <member>...",
		Short: "Remove members from the cluster, for good",
		Long: `Removes members, named by name, ID or URL, one after the other. A member that leads hands leadership over first. A
removed member's ID never comes back: to bring the machine back, its data directory is set aside and it is added anew
(etcdops explain replace-member).

Refused where the quorum would be lost; removing a voter that works while others do not is a risk with a name.

` + changeExitCodes,
		Example: "  etcdops member remove m3 --dry-run\n  etcdops member remove 8211f1d0f64f3269 --yes",
		Args:    atLeastOne("the member's name, ID or URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, opts, func(o ops.Observation) (planned, error) { return planRemove(o, args) }, nil)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

// atLeastOne wants arguments.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
		return nil
	}
}

// findMember resolves a member as people name it.
func findMember(o ops.Observation, ref string) (ops.Member, error) {
	m, err := o.Membership().Find(ref)
	if err != nil {
		return m, &ops.HintError{Code: ops.CodeCannotChange, Class: ops.ClassRefused, Op: "find member", Err: err, Hint: "etcdops member list"}
	}
	return m, nil
}

// planRemove removes the dead before the living, and the leader last, after it has handed over.
func planRemove(o ops.Observation, refs []string) (planned, error) {
	var p planned
	var names []string
	var gone []ops.MemberState
	for _, ref := range refs {
		m, err := findMember(o, ref)
		if err != nil {
			return p, err
		}
		state, _ := o.ByID(m.ID)
		if !slices.ContainsFunc(gone, func(g ops.MemberState) bool { return g.ID == m.ID }) {
			gone, names = append(gone, state), append(names, m.Label())
		}
	}
	rank := func(m ops.MemberState) int {
		switch {
		case m.ID == o.Leader:
			return 2
		case m.Condition == ops.Live:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(gone, func(a, b ops.MemberState) int { return rank(a) - rank(b) })
	for _, m := range gone {
		if heir, ok := successor(o, gone); m.ID == o.Leader && ok {
			p.changes = append(p.changes, ops.Change{Kind: ops.ChangeMoveLeader, Member: heir.ID})
		}
		p.changes = append(p.changes, ops.Change{Kind: ops.ChangeRemove, Member: m.ID})
	}
	p.word, p.to = strings.Join(names, " "), "remove "+strings.Join(names, ", ")+" from the cluster for good"
	return p, nil
}

// successor picks the live voter that is furthest in the log, of those that stay.
func successor(o ops.Observation, gone []ops.MemberState) (ops.MemberState, bool) {
	var best ops.MemberState
	for _, m := range o.Members {
		leaves := slices.ContainsFunc(gone, func(g ops.MemberState) bool { return g.ID == m.ID })
		if !leaves && !m.Learner && m.Condition == ops.Live && m.ID != o.Leader && (best.ID == 0 || m.Applied > best.Applied) {
			best = m
		}
	}
	return best, best.ID != 0
}

func newMemberPromoteCmd(a *app) *cobra.Command {
	var opts changeOptions
	cmd := &cobra.Command{
		Use:   "promote <member>",
		Short: "Make a learner a voter, once it has caught up",
		Long: `Promotes a learner, named by name, ID or URL. It waits until the learner itself says that it has applied everything that the
leader had committed when the command began: the server accepts a promotion seconds before that. A learner that does not
answer is refused, and without mercy where the quorum would be lost, which the server does not look at.

` + changeExitCodes,
		Example: "  etcdops member promote m4",
		Args:    exactArgs("the learner's name, ID or URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, opts, func(o ops.Observation) (planned, error) {
				m, err := findMember(o, args[0])
				return planned{
					changes: []ops.Change{{Kind: ops.ChangePromote, Member: m.ID}}, word: m.Label(), to: "make " + m.Label() + " a voter",
				}, err
			}, nil)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

func newMemberUpdateCmd(a *app) *cobra.Command {
	var opts changeOptions
	var peers string
	cmd := &cobra.Command{
		Use:   "update <member> --peer-urls=URL",
		Short: "Replace a member's peer URLs, once they are proven to lead to it",
		Long: `Replaces the peer URLs of a member, named by name, ID or URL. The server takes any address without trying it; here each new
one is tried first. Refused: an address at which another member or a stranger lives. An address at which nothing answers is
a risk with a name while the member works where it is, and refused where losing the member would lose the quorum.

To move a member: let it listen at the new address too (--listen-peer-urls), update, then take the old address away.

` + changeExitCodes,
		Example: "  etcdops member update m3 --peer-urls=https://10.0.0.13:2380",
		Args:    exactArgs("the member's name, ID or URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			urls, err := peerURLs(cmd, peers)
			if err != nil {
				return err
			}
			return a.change(cmd, opts, func(o ops.Observation) (planned, error) {
				m, err := findMember(o, args[0])
				return planned{
					changes: []ops.Change{{Kind: ops.ChangeUpdate, Member: m.ID, PeerURLs: urls}}, word: m.Label(),
					to: "set the peer URLs of " + m.Label() + " to " + strings.Join(urls, ","),
				}, err
			}, nil)
		},
	}
	cmd.Flags().StringVar(&peers, "peer-urls", "", "the member's new peer URLs, separated by commas")
	opts.addFlags(cmd)
	return cmd
}

func newMoveLeaderCmd(a *app) *cobra.Command {
	var opts changeOptions
	cmd := &cobra.Command{
		Use:   "move-leader <member>",
		Short: "Hand leadership to another member",
		Long: `Hands leadership to a voter that is live, named by name, ID or URL. Any endpoint will do: the leader is found and asked.

` + changeExitCodes,
		Example: "  etcdops move-leader m2",
		Args:    exactArgs("the name, ID or URL of the member that is to lead"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, opts, func(o ops.Observation) (planned, error) {
				m, err := findMember(o, args[0])
				return planned{
					changes: []ops.Change{{Kind: ops.ChangeMoveLeader, Member: m.ID}}, word: m.Label(), to: "make " + m.Label() + " the leader",
				}, err
			}, nil)
		},
	}
	opts.addFlags(cmd)
	return cmd
}
