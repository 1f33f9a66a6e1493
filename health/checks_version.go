package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func versionChecks() []Check {
	return []Check{
		{
			ID: "version.skew", Title: "all members run one version", Scope: ScopeCluster,
			Source: "version in every member's status",
			Rule:   "warns when versions are mixed; critical when they are more than one minor apart", From: FromDocs,
			Cause:  "A rolling upgrade or downgrade is under way, or was left unfinished.",
			Danger: "Features of the newer version stay off; more than one minor apart is not supported and may break the replication.",
			Fix:    []string{"finish the upgrade, one member after the other", "never skip a minor version"},
			eval:   evalVersionSkew,
		},
		{
			ID: "version.storage", Title: "no database file is newer than the cluster", Scope: ScopeMember,
			Source: "storage version in the status, against the oldest version among the members",
			Rule:   "warns when a file is newer than the oldest member; an older file is told only: it is moved on within a minute of a start", From: FromUs,
			Cause:  "A downgrade is under way or was cut short, or a database of another version was put in place.",
			Danger: "A member with an older binary refuses to start on a newer database.",
			Fix:    []string{"ask again in a minute", "downgrade: etcdops explain version.downgrade"},
			eval:   evalVersionStorage,
		},
		{
			ID: "version.downgrade", Title: "no downgrade is under way", Scope: ScopeCluster,
			Source: "downgrade information in the status (since 3.6)", Rule: "warns while one is enabled", From: FromUs,
			Cause:  "etcdctl downgrade enable was run, and the downgrade was neither finished nor cancelled.",
			Danger: "The storage is written in the older version's form, and members of the newer version do not come back after a restart.",
			Fix:    []string{"finish it: replace the binaries one after the other", "or cancel it: etcdops downgrade cancel"},
			eval:   evalDowngrade,
		},
	}
}

// release is the part of a version that decides about compatibility.
type release struct{ major, minor int }

func (r release) before(major, minor int) bool {
	return r.major < major || r.major == major && r.minor < minor
}

// parseRelease reads "3.7.3", "3.7" or "3.7.0-rc.1"; ok is false for anything else.
func parseRelease(version string) (r release, ok bool) {
	major, rest, found := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	var errMajor, errMinor error
	r.major, errMajor = strconv.Atoi(major)
	r.minor, errMinor = strconv.Atoi(minor)
	return r, found && errMajor == nil && errMinor == nil && r.major >= 0 && r.minor >= 0
}

// versions returns the distinct versions heard, oldest first, and the members that told none.
func (v *view) versions() (all []string, silent []string) {
	for _, m := range v.members {
		switch s := m.last(); {
		case s != nil && !slices.Contains(all, s.Status.Version):
			all = append(all, s.Status.Version)
		case s == nil && m.Started():
			silent = append(silent, m.label)
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		ra, _ := parseRelease(a)
		rb, _ := parseRelease(b)
		switch {
		case ra.before(rb.major, rb.minor):
			return -1
		case rb.before(ra.major, ra.minor):
			return 1
		}
		return strings.Compare(a, b)
	})
	return all, silent
}

func evalVersionSkew(v *view, _ Check) []Outcome {
	all, silent := v.versions()
	if len(all) == 0 {
		return nil
	}
	shown := strings.Join(all, ", ")
	out := []Outcome{{Value: shown, Message: "version " + shown}}
	if len(all) > 1 {
		out[0].Severity = SeverityWarning
		out[0].Message = "members run different versions: " + shown
		out[0].Next = "finish the upgrade; etcdops explain version.skew"
		oldest, okOld := parseRelease(all[0])
		newest, okNew := parseRelease(all[len(all)-1])
		if okOld && okNew && (newest.major != oldest.major || newest.minor-oldest.minor > 1) {
			out[0].Severity, out[0].Limit = SeverityCritical, "1 minor"
			out[0].Message = "members are more than one minor version apart: " + shown
		}
	}
	for _, m := range v.members {
		if slices.Contains(silent, m.label) {
			out = append(out, Outcome{Severity: SeverityUnknown, Member: m.label, Message: "not known: " + m.whySilent()})
		}
	}
	return out
}

func evalVersionStorage(v *view, _ Check) []Outcome {
	all, silent := v.versions()
	if len(all) == 0 {
		return nil
	}
	oldest, ok := parseRelease(all[0])
	return eachStatus(v, func(_ *member, s *StatusAnswer) Outcome {
		storage, told := parseRelease(s.Status.StorageVersion)
		o := Outcome{Value: s.Status.StorageVersion, Message: "database of version " + s.Status.StorageVersion}
		switch {
		case !told || !ok:
			o.Severity = SeverityUnknown
			o.Message = "version " + s.Status.Version + " does not tell the version of its database"
		case storage.before(oldest.major, oldest.minor):
			o.Severity = SeverityInfo
			o.Message = "database of version " + s.Status.StorageVersion + ", which is moved on soon after a start or an upgrade"
		case storage == oldest && len(silent) > 0:
			o.Severity = SeverityUnknown
			o.Message = "the oldest version is not known: " + strings.Join(silent, ", ") + " did not answer"
		case storage == oldest:
		default:
			o.Severity, o.Limit = SeverityWarning, fmt.Sprintf("%d.%d", oldest.major, oldest.minor)
			o.Message = fmt.Sprintf("database of version %s, while the oldest member is %s", s.Status.StorageVersion, all[0])
			o.Next = "ask again in a minute; etcdops explain version.storage"
		}
		return o
	})
}

func evalDowngrade(v *view, _ Check) []Outcome {
	return eachStatus(v, func(_ *member, s *StatusAnswer) Outcome {
		if target := s.Status.Downgrade; target != "" {
			return Outcome{
				Severity: SeverityWarning, Value: target, Message: "downgrade to " + target + " is under way",
				Next: "finish it, or etcdops downgrade cancel",
			}
		}
		if r, ok := parseRelease(s.Status.Version); !ok || r.before(3, 6) {
			return Outcome{Severity: SeverityUnknown, Message: "version " + s.Status.Version + " does not tell"}
		}
		return Outcome{Message: "no downgrade"}
	})
}
