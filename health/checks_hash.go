package health

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

func hashChecks() []Check {
	return []Check{
		{
			ID: "data.hash", Title: "all members hold the same data", Scope: ScopeMember, Depth: DepthDeep,
			Source: "each voter's hash of its data at one revision, and each learner's as it tells its peers, compared where the compact revisions are " +
				"equal, up to three times",
			Rule: "critical for a member whose hash differs from that of most voters", From: FromUs,
			Cause: "A damaged or edited database, a restore of one member from another moment, or a fault of etcd " +
				"(3.5.0 to 3.5.2 could lose writes when they were killed).",
			Danger: "Clients read different answers from different members, and a backup taken from the wrong one keeps the damage.",
			Fix: []string{
				"take a backup from a member that agrees with the others: etcdops snapshot save FILE --endpoints URL",
				"replace the member that differs: etcdops explain replace-member",
				"two groups of equal size: stop writing, keep every data directory, compare them with etcdops status before anything is removed",
			},
			eval: evalHash,
		},
		{
			ID: "data.keys", Title: "all members count the same number of keys", Scope: ScopeMember, Depth: DepthDeep,
			Source: "number of keys at the revision of the hash", Rule: "critical for a member that counts another number than most others", From: FromUs,
			Cause:  "The same as for data.hash; the number tells at once whether keys are missing.",
			Danger: "Keys are missing, or deleted ones are back, on the member named.",
			Fix:    []string{"as for data.hash: etcdops explain data.hash"},
			eval:   evalKeys,
		},
	}
}

// learns reports whether the member is a learner, by its own word too.
func (m *member) learns() bool {
	s := m.last()
	return m.Learner || s != nil && s.Status.Learner
}

// commonRevision is the latest revision that every voter which answered has; 0 when none answered.
func (v *view) commonRevision() int64 {
	var lowest int64
	for _, m := range v.members {
		if s := m.last(); s != nil && !m.learns() && (lowest == 0 || s.Status.Revision < lowest) {
			lowest = s.Status.Revision
		}
	}
	return lowest
}

// hashed is a member's last hash, nil when it was not asked for one.
func (m *member) hashed() *HashAnswer {
	for _, e := range m.answered {
		if n := len(e.Hashes); n > 0 {
			return &e.Hashes[n-1]
		}
	}
	return nil
}

// hashesAgree reports whether every voter that answers gave a hash in the latest round, and all are equal, also those of
// learners that gave one.
func (v *view) hashesAgree() bool {
	var first *HashAnswer
	for _, m := range v.members {
		h := m.hashed()
		switch {
		case m.last() == nil, m.learns() && (h == nil || h.Failure != nil):
		case h == nil || h.Failure != nil:
			return false
		case first == nil:
			first = h
		case h.Revision != first.Revision || h.Compact != first.Compact || h.Hash != first.Hash:
			return false
		}
	}
	return first != nil
}

// comparison is what must be equal before two hashes may be compared.
type comparison struct{ revision, compact int64 }

// majority finds the value that most members have; tie is true when another one has as many.
func majority(values map[string]string) (common string, tie bool) {
	count := map[string]int{}
	for _, value := range values {
		count[value]++
	}
	order := make([]string, 0, len(count))
	for value := range count {
		order = append(order, value)
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	if len(order) == 0 {
		return "", false
	}
	return order[0], len(order) > 1 && count[order[0]] == count[order[1]]
}

func evalHash(v *view, _ Check) []Outcome {
	return v.compare("hash", func(h *HashAnswer) (string, bool) { return fmt.Sprintf("%08x", h.Hash), true })
}

func evalKeys(v *view, _ Check) []Outcome {
	return v.compare("number of keys", func(h *HashAnswer) (string, bool) {
		if h.Keys == nil {
			return "", false
		}
		return strconv.FormatInt(*h.Keys, 10), true
	})
}

// compare holds what the members said against each other, for those whose answers are about the same.
func (v *view) compare(what string, read func(*HashAnswer) (string, bool)) []Outcome {
	groups := map[comparison]map[string]string{} // label -> value
	size := 0
	var most comparison
	for _, m := range v.members {
		h := m.hashed()
		if h == nil || h.Failure != nil {
			continue
		}
		key := comparison{h.Revision, h.Compact}
		if value, known := read(h); known {
			if groups[key] == nil {
				groups[key] = map[string]string{}
			}
			groups[key][m.label] = value
			if n := len(groups[key]); n > size || n == size && key.compact > most.compact {
				size, most = n, key
			}
		}
	}
	common, tie := majority(v.ofVoters(groups[most]))
	mixed := v.mixedHashing()
	return eachStatus(v, func(m *member, _ *StatusAnswer) Outcome {
		value, known := groups[most][m.label]
		if !known || size < 2 {
			return v.notCompared(m, what, known)
		}
		o := Outcome{Value: value, Message: fmt.Sprintf("its %s at revision %d is that of the others", what, most.revision)}
		if value == common && !tie {
			return o
		}
		o.Severity, o.Limit = SeverityCritical, common
		o.Message = fmt.Sprintf("its %s at revision %d is %s, others have %s", what, most.revision, value, common)
		o.Next = "take no backup from it; etcdops explain data.hash"
		switch {
		case mixed && what == "hash":
			o.Severity, o.Next = SeverityUnknown, "finish the upgrade, then look again"
			o.Message += "; versions that differ, or are older than 3.5.5, may hash differently"
		case tie:
			o.Message = fmt.Sprintf("its %s at revision %d is %s, and as many members have another: nobody can tell which is right", what, most.revision, value)
		}
		return o
	})
}

// ofVoters leaves out what learners say, where a voter says something: a learner is a copy, and outvotes nobody.
func (v *view) ofVoters(values map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range v.members {
		if value, known := values[m.label]; known && !m.learns() {
			out[m.label] = value
		}
	}
	if len(out) == 0 {
		return values
	}
	return out
}

// notCompared says why a member was held against nobody.
func (v *view) notCompared(m *member, what string, known bool) Outcome {
	o := Outcome{Severity: SeverityUnknown}
	h := m.hashed()
	switch {
	case m.learns() && what != "hash":
		o.Message = "a learner does not tell its " + what
	case known && (len(v.members) == 1 || what != "hash" && len(v.voters()) == 1):
		return Outcome{Message: "there is nobody to compare it with"}
	case known:
		o.Message = "no other member told its " + what + " at the same revision"
	case h == nil:
		o.Message = "it was not asked for its " + what
	case h.Failure != nil:
		o.Message, o.Next = "its "+what+" is not known: "+h.Failure.Message, h.Failure.Hint
	case h.Keys == nil && what != "hash":
		o.Message = "this user may not count the keys"
	default:
		o.Message = "it was compacted to another revision than the others meanwhile: ask again"
	}
	return o
}

// mixedHashing reports whether members may compute hashes in different ways.
func (v *view) mixedHashing() bool {
	all, _ := v.versions()
	if len(all) != 1 {
		return true
	}
	r, ok := parseRelease(all[0])
	return !ok || r.before(3, 5)
}
