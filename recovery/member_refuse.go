package recovery

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/etcdops/etcdops/ops"
)

// roomFactor is how many times the database a new member's disk must hold: the snapshot that arrives, and the database
// that grows beside it.
const roomFactor = 2

// refusal is the first reason why the targets must not be recovered, whatever the votes say.
func (f MemberFacts) refusal(now time.Time) error {
	for _, check := range []func() error{
		f.targetsExist, f.rightsThere, f.quorumThere, f.listsAgree, f.nothingPending, f.noAlarms, f.learnersKnown,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if age := now.Sub(f.Observed.TakenAt); age > ops.ProbeAge {
		return refusef(CodeStale, "", "try again", "the look at the cluster is %s old", age.Round(time.Millisecond))
	}
	for _, t := range f.Targets {
		if err := t.refusal(f); err != nil {
			return err
		}
	}
	return nil
}

func (f MemberFacts) targetsExist() error {
	if len(f.Targets) == 0 {
		return refusef(CodeNoTarget, "", "etcdops member list", "no member is named")
	}
	seen := map[ops.MemberID]bool{}
	for _, t := range f.Targets {
		switch {
		case !t.Found:
			return refusef(CodeNoTarget, t.Ref, "etcdops member list", "%s", t.Problem)
		case seen[t.Member.ID]:
			return refusef(CodeNoTarget, t.Ref, "name it once", "it is named twice")
		}
		seen[t.Member.ID] = true
	}
	return nil
}

func (f MemberFacts) rightsThere() error {
	if f.Rights == "" {
		return nil
	}
	return refusef(CodeRights, "", "--user root --password-file FILE", "the user may not change the membership: %s", f.Rights)
}

// isTarget reports whether a member is one that is to be recovered.
func (f MemberFacts) isTarget(id ops.MemberID) bool {
	return slices.ContainsFunc(f.Targets, func(t TargetFacts) bool { return t.Member.ID == id })
}

// quorumThere wants a leader and a majority of the voters, and more than one voter.
func (f MemberFacts) quorumThere() error {
	var votes ops.Votes
	var missing []string
	for _, m := range f.Observed.Members {
		if m.Learner {
			continue
		}
		votes.Total++
		if m.Condition == ops.Live {
			votes.Healthy++
		} else {
			missing = append(missing, m.Label()+" ("+m.Cause+")")
		}
	}
	const rebuild = "start a voter whose data is intact; when they are gone for good: etcdops rebuild-cluster plan"
	switch {
	case !votes.HasQuorum():
		return refusef(CodeNoQuorum, "", rebuild, "%d of %d voters work and %d must agree; missing: %s",
			votes.Healthy, votes.Total, votes.Quorum(), strings.Join(missing, ", "))
	case f.Observed.Leader == 0:
		return refusef(CodeDisagree, "", "etcdops health", "the members do not agree on a leader")
	case votes.Total == 1:
		return refusef(CodeNoQuorum, "", "its data is all there is: etcdops rebuild-cluster plan", "the cluster has one voter: there is nobody to take the data from")
	}
	return nil
}

func (f MemberFacts) listsAgree() error {
	if len(f.Observed.Disagree) > 0 {
		return refusef(CodeDisagree, "", "etcdops health", "the member list of %s is another one", strings.Join(f.Observed.Disagree, ", "))
	}
	for _, m := range f.Observed.Members {
		if m.Condition == ops.Leaderless && !f.isTarget(m.ID) {
			return refusef(CodeDisagree, m.Label(), "mend the network between the members: etcdops health", "it answers and does not follow the leader: %s", m.Cause)
		}
	}
	return nil
}

// nothingPending refuses while another change is not finished. A dead learner counts towards nothing, but joins at any
// moment, and the server takes no second one.
func (f MemberFacts) nothingPending() error {
	for _, m := range f.Observed.Members {
		switch {
		case f.isTarget(m.ID) && !m.Learner:
		case m.Learner:
			return refusef(CodePending, m.Label(), "promote it, or remove it: etcdops member remove "+m.ID.String(), "there is a learner: another change is not finished")
		case m.Condition == ops.Unstarted:
			return refusef(CodePending, m.ID.String(), "start it, or remove it: etcdops member remove "+m.ID.String(), "it was added and never started")
		}
	}
	return nil
}

// corrupt is the alarm of a member whose data differ from the others'. It stops all writes of the cluster.
const corrupt = "CORRUPT"

func (f MemberFacts) noAlarms() error {
	for _, a := range f.Observed.Alarms {
		if a.Type == corrupt && f.isTarget(a.Member) {
			continue
		}
		name := a.Member.String()
		if m, ok := f.Observed.ByID(a.Member); ok {
			name = m.Label()
		}
		hint := "etcdops alarm list"
		switch {
		case a.Member == 0:
			return refusef(CodeAlarm, "", "etcdops explain data.hash says how to find out whose data are wrong", "the cluster has the alarm %s, of no member in particular", a.Type)
		case a.Type == corrupt:
			hint = "recover the member with the corrupt data, not another: etcdops recover member " + name
		}
		return refusef(CodeAlarm, name, hint, "it has the alarm %s", a.Type)
	}
	return nil
}

// learnersKnown wants every voter to know learners: servers before 3.4 take one for a voter.
func (f MemberFacts) learnersKnown() error {
	for _, m := range f.Observed.Members {
		if major, minor, ok := version(m.Version); ok && (major < 3 || major == 3 && minor < 4) && !f.isTarget(m.ID) {
			return refusef(CodeVersion, m.Label(), "upgrade it to 3.4 or newer first", "it runs %s, which knows no learners", m.Version)
		}
	}
	return nil
}

// refusal is the first reason why one target must not be recovered.
func (t TargetFacts) refusal(f MemberFacts) error {
	name := t.Member.Label()
	if t.Survey == nil {
		return refusef(CodeNoDriver, name, "another --via (docs/drivers.md); --via manual --fenced once its machine is off for good", "%s", t.NodeError)
	}
	if t.Status == nil {
		return refusef(CodeNoDriver, name, "etcdops recover member "+name+" --via DRIVER; docs/drivers.md", "its machine could not be looked at: %s", t.NodeError)
	}
	if err := t.own(f.Observed.ClusterID); err != nil {
		return err
	}
	if t.Status.Known && t.Status.Running && t.Status.Empty {
		return refusef(CodeWiped, name, "stop it for good, keep what is left of its directory, then run this again",
			"it runs, and its data directory is empty: its data were removed while it is a member")
	}
	if t.Status.Known && t.Status.Running && t.Status.Detached {
		return refusef(CodeWiped, name, "stop it for good, keep every directory that was ever its own, then run this again",
			"it runs on files that are not in its data directory any more: that was replaced under it while it is a member")
	}
	if err := t.fenced(); err != nil {
		return err
	}
	if err := t.fits(f); err != nil {
		return err
	}
	return t.room(f.DBSize)
}

// own refuses a machine that starts another member, or holds the data of one.
func (t TargetFacts) own(cluster ops.ClusterID) error {
	name := t.Member.Label()
	if t.Survey.Name != "" && t.Member.Started() && t.Survey.Name != t.Member.Name {
		return refusef(CodeForeign, name, "name its own machine with --via", "the machine starts member %q (%s)", t.Survey.Name, t.Survey.Why)
	}
	if t.Status.ClusterID != 0 && t.Status.ClusterID != cluster {
		return refusef(CodeForeign, name, "name its own machine with --via", "the machine holds data of cluster %s, not %s", t.Status.ClusterID, cluster)
	}
	if t.Status.MemberID != 0 && t.Status.MemberID != t.Member.ID {
		return refusef(CodeForeign, name, "name its own machine with --via; or set that directory aside yourself if it is left from before",
			"the machine holds data of member %s, not %s", t.Status.MemberID, t.Member.ID)
	}
	return nil
}

// fenced refuses where nobody can tell whether the target is off: a machine that is only watched from here, with ports
// that do not refuse.
func (t TargetFacts) fenced() error {
	if t.Status.Known || t.Fenced {
		return nil
	}
	for _, p := range t.Ports {
		if p.State == PortSilent {
			return refusef(CodeNotFenced, t.Member.Label(), "--via ssh:HOST to work on its machine; --fenced if you know that it is off and stays off",
				"its machine is not reached from here, and %s neither answers nor refuses: it may run behind a cut link", p.URL)
		}
	}
	return nil
}

// fits compares the version of the target's program with the cluster's.
func (t TargetFacts) fits(f MemberFacts) error {
	major, minor, ok := version(t.Survey.Version)
	if !ok {
		return nil
	}
	lowest, highest := 0, 0
	for _, m := range f.Observed.Members {
		if _, other, ok := version(m.Version); ok && m.Condition == ops.Live && !f.isTarget(m.ID) {
			if lowest == 0 || other < lowest {
				lowest = other
			}
			highest = max(highest, other)
		}
	}
	if lowest == 0 || major == 3 && minor >= lowest && minor <= highest+1 {
		return nil
	}
	return refusef(CodeVersion, t.Member.Label(), fmt.Sprintf("install etcd 3.%d there", lowest),
		"its program is of version %s, the others are of 3.%d", t.Survey.Version, lowest)
}

// version reads major and minor.
func version(text string) (major, minor int, ok bool) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err := strconv.Atoi(parts[0])
	minor, also := strconv.Atoi(parts[1])
	return major, minor, err == nil && also == nil
}

// logRoom is what an empty log takes: etcd gives a segment (64 MiB) its space at once, and the next one beside it.
const logRoom = 128 << 20

// space is what must be left on a disk.
type space struct {
	bytes int64
	why   string
}

// lacking says of the first directory that has too little left how much, and for what it needs more; nil when all have enough.
func lacking(dirs []Dir, need []space) error {
	for i, d := range dirs {
		if i < len(need) && d.Free < need[i].bytes {
			return fmt.Errorf("%s has %s left and needs %s: %s", d.Path, humanize.IBytes(uint64(d.Free)), humanize.IBytes(uint64(need[i].bytes)), need[i].why)
		}
	}
	return nil
}

// makeRoom is what to type for space.
const makeRoom = "free space there; set-aside directories: etcdops recover clean"

// room wants space for the data, and for the log, on the target's disks.
func (t TargetFacts) room(db int64) error {
	need := []space{{roomFactor*db + logRoom, "twice the database and an empty log"}}
	if len(t.Survey.Dirs) > 1 { // the log has a place of its own
		need = []space{{roomFactor * db, "twice the database"}, {logRoom, "an empty log"}}
	}
	if err := lacking(t.Survey.Dirs, need); err != nil {
		return refuse(CodeDiskSmall, t.Member.Label(), err, makeRoom)
	}
	return nil
}

// quorumRefusal words why the votes forbid the plan.
func (f MemberFacts) quorumRefusal(proof ops.Proof, err error) error {
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok {
		return err
	}
	if hint.Code == ops.CodeQuorumLoss {
		return refuse(CodeQuorumAtRisk, "", fmt.Errorf("%s: %w (now: %s)", hint.Op, hint.Err, proof.Now), hint.Hint)
	}
	return err
}
