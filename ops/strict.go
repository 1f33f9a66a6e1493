package ops

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// StrictWindow is how long the leader must have been connected to a member until its own check counts that member.
const StrictWindow = 5 * time.Second

// readyPercent is how much of the leader's log a learner must have received for the server to promote it.
const readyPercent = 0.9

// Verdict is what a server's own check answers to a change.
type Verdict string

// The answers of the server's check.
const (
	ServerAccepts  Verdict = "accepts"
	ServerWaits    Verdict = "waits" // accepts once the leader has been connected to the others for StrictWindow
	ServerRefuses  Verdict = "refuses"
	ServerUnknown  Verdict = "unknown" // it depends on what cannot be seen from outside
	ServerNotAsked Verdict = ""        // the change is none that a server checks
)

// Prediction is what the server's own check will say to a change, by the rules of the leader's version.
type Prediction struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // the server's error, or what the answer depends on
}

// The errors of the server's check, as etcd words them.
const (
	errTextStarted   = "re-configuration failed due to not enough started members"
	errTextUnhealthy = "unhealthy cluster"
	errTextNotReady  = "can only promote a learner member which is in sync with leader"
)

// StrictVoter is a voter as the member that handles the change sees it.
type StrictVoter struct {
	Started   bool          // it has published a name
	Active    bool          // the handling member has a connection to it; always so for itself
	Connected time.Duration // for how long
	Self      bool          // it is the handling member
}

// connected reports whether the server counts the voter as connected.
func (v StrictVoter) connected() bool { return v.Self || v.Active && v.Connected > StrictWindow }

// StrictInput is everything that the check of a server looks at.
type StrictInput struct {
	Version string        // of the handling server
	Voters  []StrictVoter // all, before the change
	Target  int           // index of the voter to remove; negative when it is no voter
	Match   uint64        // log index that the learner is known to have received
	Leader  uint64        // log index of the leader
}

// StrictCheck computes what a server with strict-reconfig-check on, version 3.4 to 3.7, answers to a change: the text of
// its error, or "" when it goes on. It follows mayAddMember, mayRemoveMember and mayPromoteMember of the servers; a
// change of peer URLs is checked by none of them.
func StrictCheck(kind ChangeKind, in StrictInput) string {
	started, connected := 0, 0
	for _, v := range in.Voters {
		if v.Started {
			started++
		}
		if v.connected() {
			connected++
		}
	}
	n := len(in.Voters)
	switch kind {
	case ChangeAddVoter, ChangeAddLearner:
		if kind == ChangeAddVoter && (n != 1 || started != 1) && started < Quorum(n+1) {
			return errTextStarted
		}
		if !connectedForAdd(in.Version, n, connected) {
			return errTextUnhealthy
		}
	case ChangeRemove:
		return strictRemove(in, n, started, connected)
	case ChangePromote:
		if float64(in.Match) < readyPercent*float64(in.Leader) {
			return errTextNotReady
		}
		if started+1 < Quorum(n+1) { // the learner counts as started
			return errTextStarted
		}
	case ChangeUpdate, ChangeStop, ChangeStart, ChangeMoveLeader:
	}
	return ""
}

// connectedForAdd is the rule for connections when a member is added: to all voters in old servers, to a majority of
// the voters to be since 3.5.30, 3.6.11 and 3.7.
func connectedForAdd(version string, voters, connected int) bool {
	if addNeedsAll(version) {
		return connected == voters
	}
	return voters == 1 || connected >= Quorum(voters+1)
}

func addNeedsAll(version string) bool {
	major, minor, patch := splitVersion(version)
	switch {
	case major != 3 || minor > 6:
		return major < 3
	case minor == 6:
		return patch < 11
	case minor == 5:
		return patch < 30
	}
	return true
}

func strictRemove(in StrictInput, n, started, connected int) string {
	if in.Target < 0 {
		return "" // learners go without a look
	}
	target := in.Voters[in.Target]
	if target.Started {
		started--
	}
	if started < Quorum(n-1) {
		return errTextStarted
	}
	if !target.Self && !target.Active {
		return "" // it is down already
	}
	if connected-1 < Quorum(n-1) {
		return errTextUnhealthy
	}
	return ""
}

// splitVersion reads "3.5.21", also with a suffix; what cannot be read is 0.
func splitVersion(version string) (major, minor, patch int) {
	version, _, _ = strings.Cut(version, "-")
	parts := strings.SplitN(version, ".", 3)
	for i, at := range []*int{&major, &minor, &patch} {
		if i < len(parts) {
			*at, _ = strconv.Atoi(parts[i])
		}
	}
	return major, minor, patch
}

// predict tells what the server will answer as far as it can be seen from outside. Since when the leader is connected to
// a live member cannot: both ends of that are tried.
func (s *simulation) predict(c Change, target *simMember) Prediction {
	switch {
	case !c.reconfigures():
		return Prediction{}
	case c.Kind == ChangeUpdate:
		return Prediction{ServerAccepts, "the server checks no change of peer URLs"}
	case s.observed.Strict == StrictOff && c.Kind != ChangePromote:
		return Prediction{ServerAccepts, "strict-reconfig-check is off"}
	}
	long, short := s.strictInput(target, 2*StrictWindow), s.strictInput(target, 0)
	atBest, atWorst := StrictCheck(c.Kind, long), StrictCheck(c.Kind, short)
	switch {
	case atBest != "" && atBest == errTextNotReady && !s.learnerBehind(target):
		return Prediction{ServerUnknown, "how much of the log the learner has received cannot be seen"}
	case atBest != "":
		return Prediction{ServerRefuses, atBest}
	case c.Kind == ChangeAddLearner && s.tally().Learners > 0:
		return Prediction{ServerUnknown, fmt.Sprintf("there is a learner already; servers allow 1 unless --max-learners says more (there would be %d)", s.tally().Learners+1)}
	case atWorst != "":
		return Prediction{ServerWaits, "the leader must have been connected to the other members for more than " + StrictWindow.String()}
	}
	return Prediction{Verdict: ServerAccepts}
}

// learnerBehind reports whether it is sure that the learner has received too little.
func (s *simulation) learnerBehind(target *simMember) bool {
	return target.condition == Unstarted
}

// strictInput is the server's view of the simulated cluster with all live members connected for some time.
func (s *simulation) strictInput(target *simMember, since time.Duration) StrictInput {
	in := StrictInput{Target: -1, Leader: s.observed.Commit}
	for _, m := range s.members {
		if m.id == s.leader && m.id != 0 {
			in.Version = m.version
		}
		if m == target {
			in.Match = max(m.commit, m.applied)
			if !m.learner {
				in.Target = len(in.Voters)
			}
		}
		if !m.learner {
			in.Voters = append(in.Voters, StrictVoter{
				Started: m.started, Active: m.condition == Live, Connected: since, Self: m.id == s.leader && m.id != 0,
			})
		}
	}
	return in
}
