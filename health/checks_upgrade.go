package health

import (
	"fmt"
	"strconv"
	"strings"
)

func upgradeChecks() []Check {
	return []Check{
		{
			ID: "version.features", Title: "all members have the same features switched on", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_server_feature_enabled (since 3.6)", Rule: "warns when a feature is on in some members of one minor version only: defaults differ from one to the next", From: FromUs,
			Cause:  "--feature-gates or an --experimental flag was set on some members.",
			Danger: "The cluster behaves differently with each leader, and checks that members make of each other are missing on some.",
			Fix:    []string{"start all members with the same --feature-gates"},
			eval:   evalFeatures,
		},
		{
			ID: "version.hazards", Title: "no member runs a version that is known to do harm", Scope: ScopeMember,
			Source: "version in every member's status, held against the releases that mended something of the kind", Rule: "warns for every match", From: FromDocs,
			Cause:  "The member was not updated since the fault was found.",
			Danger: "The message tells: lost writes, members that come back after an upgrade, or an upgrade that fails.",
			Fix:    []string{"update to the latest patch release of the same minor version, one member after the other, before any larger upgrade"},
			eval:   evalHazards,
		},
	}
}

// hazard is a fault of the releases of one minor version before a patch.
type hazard struct {
	major, minor, fixed int
	learners            bool // of interest where the cluster has a learner only
	text                string
}

func hazards() []hazard {
	return []hazard{
		{3, 5, 3, false, "can lose acknowledged writes when it is killed under load"},
		{3, 5, 20, true, "forgets on the way to 3.6 that a learner was promoted"},
		{3, 5, 26, false, "may bring removed members back when it is upgraded to 3.6: go to 3.5.26 or later first"},
	}
}

// patchOf reads the third number of a version.
func patchOf(version string) (int, bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 3 {
		return 0, false
	}
	digits, _, _ := strings.Cut(parts[2], "-")
	digits, _, _ = strings.Cut(digits, "+")
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0
}

func evalHazards(v *view, _ Check) []Outcome {
	learners := v.list == nil || len(v.list.Learners()) > 0
	return eachStatus(v, func(_ *member, s *StatusAnswer) Outcome {
		version := s.Status.Version
		r, ok := parseRelease(version)
		patch, told := patchOf(version)
		if !ok || !told {
			return Outcome{Severity: SeverityUnknown, Message: "version " + version + " is not understood"}
		}
		for _, h := range hazards() {
			if r.major == h.major && r.minor == h.minor && patch < h.fixed && (learners || !h.learners) {
				return Outcome{
					Severity: SeverityWarning, Value: version, Limit: fmt.Sprintf("%d.%d.%d", h.major, h.minor, h.fixed),
					Message: "version " + version + " " + h.text, Next: "update to the latest " + strconv.Itoa(r.major) + "." + strconv.Itoa(r.minor) + "; etcdops explain version.hazards",
				}
			}
		}
		return Outcome{Value: version, Message: "version " + version + " is not known for any"}
	})
}

func evalFeatures(v *view, _ Check) []Outcome {
	on := map[string]map[string]string{} // minor version and feature -> member -> on or off
	minor := func(m *member) string {
		r, _ := parseRelease(m.last().Status.Version)
		return fmt.Sprintf("%d.%d ", r.major, r.minor)
	}
	features := func(ms Metrics) map[string]string {
		out := map[string]string{}
		ms.each("etcd_server_feature_enabled", func(s Sample) {
			out[s.label("name")] = map[bool]string{true: "on", false: "off"}[s.Value > 0]
		})
		return out
	}
	for _, m := range v.members {
		if a, _ := m.scraped(); a != nil {
			for name, state := range features(a.Metrics) {
				key := minor(m) + name
				if on[key] == nil {
					on[key] = map[string]string{}
				}
				on[key][m.label] = state
			}
		}
	}
	return eachMetrics(v, func(m *member, ms Metrics) Outcome {
		mine := features(ms)
		if len(mine) == 0 {
			return Outcome{Severity: SeverityUnknown, Message: "version " + m.last().Status.Version + " does not tell its features"}
		}
		var odd []string
		for _, name := range sortedKeys(mine) {
			if common, _ := majority(on[minor(m)+name]); mine[name] != common { // of two that differ, the one where it is on
				odd = append(odd, name+" is "+mine[name])
			}
		}
		if len(odd) == 0 {
			return Outcome{Message: "has the same features on as the others"}
		}
		return Outcome{
			Severity: SeverityWarning, Value: strings.Join(odd, ", "), Message: strings.Join(odd, ", ") + " here, unlike on other members",
			Next: "set --feature-gates alike on all members; etcdops explain version.features",
		}
	})
}
