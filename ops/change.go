package ops

import (
	"fmt"
	"slices"
	"strings"
)

// ChangeKind is one kind of change of a cluster, as CheckChange can think it through.
type ChangeKind string

// The kinds of changes. Start and Stop change no membership; they are steps on the way, or things to fear.
const (
	ChangeAddVoter   ChangeKind = "add_voter"   // a new member that votes at once, before it has ever started
	ChangeAddLearner ChangeKind = "add_learner" // a new member that does not vote
	ChangeRemove     ChangeKind = "remove"      // a member leaves for good: its ID never comes back
	ChangePromote    ChangeKind = "promote"     // a learner becomes a voter
	ChangeUpdate     ChangeKind = "update"      // a member's peer URLs are replaced
	ChangeStop       ChangeKind = "stop"        // a member stops working and stays in the list
	ChangeStart      ChangeKind = "start"       // a member starts and has caught up
	ChangeMoveLeader ChangeKind = "move_leader" // another voter leads
)

// Change is one change. The member is named by its ID, or by name or URL where a change before it in the same sequence
// adds it and the ID is not known yet.
type Change struct {
	Kind     ChangeKind `json:"kind"`
	Member   MemberID   `json:"member,omitempty"`    // 0 for a member that is added
	Name     string     `json:"name,omitempty"`      // of the member; of one that is added, as planned
	PeerURLs []string   `json:"peer_urls,omitempty"` // of one that is added or updated
}

// label names the member of the change as far as the change itself knows it.
func (c Change) label() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.Member != 0:
		return c.Member.String()
	}
	return strings.Join(c.PeerURLs, ",")
}

// String tells the change in a few words: "remove m3", "add m4 as a learner".
func (c Change) String() string { return c.text(c.label()) }

func (c Change) text(label string) string {
	switch c.Kind {
	case ChangeAddVoter:
		return "add " + label + " as a voter"
	case ChangeAddLearner:
		return "add " + label + " as a learner"
	case ChangeUpdate:
		return "set peer URLs of " + label + " to " + strings.Join(c.PeerURLs, ",")
	case ChangeMoveLeader:
		return "move leadership to " + label
	case ChangeRemove, ChangePromote, ChangeStop, ChangeStart:
		return string(c.Kind) + " " + label
	}
	return fmt.Sprintf("%s %s", c.Kind, label)
}

// adds reports whether the change brings a new member.
func (c Change) adds() bool { return c.Kind == ChangeAddVoter || c.Kind == ChangeAddLearner }

// reconfigures reports whether the change goes through the log as a change of the membership.
func (c Change) reconfigures() bool {
	return c.adds() || slices.Contains([]ChangeKind{ChangeRemove, ChangePromote, ChangeUpdate}, c.Kind)
}
