package backup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Policy says which backups stay. Each rule keeps backups, and what no rule keeps may go; a policy without any rule
// keeps everything. Rules count periods that have a backup, not periods of the calendar, so nothing goes because time
// passes without backups.
type Policy struct {
	Last    int `json:"last"`    // the newest ones
	Hourly  int `json:"hourly"`  // the newest one of each of so many hours (UTC)
	Daily   int `json:"daily"`   // of days
	Weekly  int `json:"weekly"`  // of weeks (ISO)
	Monthly int `json:"monthly"` // of months
	Yearly  int `json:"yearly"`  // of years

	// Window keeps every state of so long before the newest verified backup restorable: all backups of that time, and
	// the newest one before it.
	Window time.Duration `json:"window"`
	// Force allows to remove more than half at once.
	Force bool `json:"force"`
}

// Empty says whether there is no rule.
func (p Policy) Empty() bool {
	return p.Last <= 0 && p.Hourly <= 0 && p.Daily <= 0 && p.Weekly <= 0 && p.Monthly <= 0 && p.Yearly <= 0 && p.Window <= 0
}

// Snapshot is what a policy needs to know of a backup.
type Snapshot struct {
	ID        ID
	ClusterID ops.ClusterID
	TakenAt   time.Time
	Revision  int64
	Level     Level // verified so far; LevelNone when the newest verification failed
	Held      bool  // somebody wants it kept
	Leased    bool  // a restore is reading it
	Marked    bool  // for removal, by an earlier run: it does not count as one that would go now
}

// Verdict is a policy's word on one backup.
type Verdict struct {
	Snapshot
	Keep    bool
	Reasons []string // why it stays; why it goes has one reason: no rule keeps it
}

// Errors of a policy that must not be applied. The verdicts are returned all the same, to be shown.
var (
	errFuture = errors.New("a backup was taken in the future: the clock of this machine went back, or another's is ahead")
	errHalf   = errors.New("more than half of the backups would go")
)

// futureSlack is by how much the clocks of machines that take backups may differ.
const futureSlack = 5 * time.Minute

// Apply judges every backup, newest first within a cluster. An error means that none may be removed; the verdicts tell
// what would be, were it not for that.
func (p Policy) Apply(now time.Time, all []Snapshot) ([]Verdict, error) {
	var out []Verdict
	byCluster := map[ops.ClusterID][]Snapshot{}
	for _, s := range all {
		byCluster[s.ClusterID] = append(byCluster[s.ClusterID], s)
	}
	clusters := make([]ops.ClusterID, 0, len(byCluster))
	for id := range byCluster {
		clusters = append(clusters, id)
	}
	slices.Sort(clusters)
	for _, id := range clusters {
		out = append(out, p.applyOne(byCluster[id])...)
	}
	removed, counted := 0, 0
	for _, v := range out {
		if v.Keep || !v.Marked {
			counted++
		}
		if !v.Keep && !v.Marked {
			removed++
		}
		if v.TakenAt.After(now.Add(futureSlack)) {
			return out, fmt.Errorf("%w: %s of %s, now is %s", errFuture, v.ID.Short(), v.TakenAt.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	if removed*2 > counted && !p.Force {
		return out, fmt.Errorf("%w: %d of %d", errHalf, removed, counted)
	}
	return out, nil
}

// applyOne judges the backups of one cluster.
func (p Policy) applyOne(list []Snapshot) []Verdict {
	slices.SortFunc(list, func(a, b Snapshot) int {
		return cmp.Or(b.TakenAt.Compare(a.TakenAt), cmp.Compare(b.Revision, a.Revision), cmp.Compare(b.ID, a.ID))
	})
	out := make([]Verdict, len(list))
	for i, s := range list {
		out[i] = Verdict{Snapshot: s}
		for reason, is := range map[string]bool{"held": s.Held, "a restore reads it": s.Leased} {
			if is {
				out[i].keep(reason)
			}
		}
	}
	newest := slices.IndexFunc(list, func(s Snapshot) bool { return s.Level >= LevelData })
	switch {
	case p.Empty():
		keepAll(out, "no rule is set")
		return out
	case newest < 0:
		keepAll(out, "no backup of this cluster is verified")
		return out
	case newest > 0:
		// What is newer than the newest verified one says nothing good about the present way of taking backups.
		keepAll(out, "the newest backup of this cluster is not verified")
		return out
	}
	out[newest].keep("newest verified")
	p.keepPeriods(out)
	p.keepWindow(out)
	return out
}

// keepPeriods applies the rules that count. Backups that are not verified fill no period.
func (p Policy) keepPeriods(list []Verdict) {
	for _, rule := range []struct {
		name  string
		count int
		of    func(time.Time) string
	}{
		{"last", p.Last, nil},
		{"hourly", p.Hourly, func(t time.Time) string { return t.Format("2006-01-02T15") }},
		{"daily", p.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{"weekly", p.Weekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", y, w) }},
		{"monthly", p.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{"yearly", p.Yearly, func(t time.Time) string { return t.Format("2006") }},
	} {
		left, last := rule.count, ""
		for i := range list {
			if left <= 0 {
				break
			}
			if list[i].Level < LevelData {
				continue
			}
			period := strconv.Itoa(i)
			if rule.of != nil {
				period = rule.of(list[i].TakenAt.UTC())
			}
			if period != last {
				list[i].keep(rule.name)
				last = period
				left--
			}
		}
	}
}

// reasonBegins is why the last backup before a window stays.
const reasonBegins = "window begins in it"

// keepWindow keeps what the states of the window need. The window ends with the newest verified backup and not with the
// present, so that a clock which is wrong, or a week without backups, takes nothing away.
func (p Policy) keepWindow(list []Verdict) {
	if p.Window <= 0 {
		return
	}
	start := list[0].TakenAt.Add(-p.Window)
	for i := range list {
		if list[i].TakenAt.After(start) {
			list[i].keep("window")
			continue
		}
		if list[i].Level >= LevelData {
			list[i].keep(reasonBegins)
			return
		}
	}
}

func keepAll(list []Verdict, reason string) {
	for i := range list {
		list[i].keep(reason)
	}
}

func (v *Verdict) keep(reason string) {
	v.Keep = true
	v.Reasons = append(v.Reasons, reason)
	slices.Sort(v.Reasons)
}
