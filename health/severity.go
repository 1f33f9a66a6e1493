package health

import (
	"cmp"
	"fmt"
)

// Severity is what was found out about one thing.
type Severity int

// The severities, in the order in which they outweigh each other within one check: an outcome that is bad outweighs
// one that is not known, and what is not known outweighs what is well.
const (
	SeverityOK       Severity = iota // looked at, and well
	SeverityInfo                     // well, and worth knowing
	SeverityUnknown                  // could not be looked at
	SeverityWarning                  // works, and needs attention
	SeverityCritical                 // broken, or about to break
)

// names is the JSON form, in the order of the constants.
func (Severity) names() [5]string { return [...]string{"ok", "info", "unknown", "warning", "critical"} }

// String returns the lower-case name used in JSON.
func (s Severity) String() string {
	names := s.names()
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range s.names() {
		if name == string(text) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("severity %q is none of %v", text, s.names())
}

// worst returns the outcome that decides: see the order of the constants.
func worst(outcomes []Outcome) Severity {
	w := SeverityOK
	for _, o := range outcomes {
		w = max(w, o.Severity)
	}
	return w
}

// byUrgency orders findings: critical, warning, unknown, info.
func byUrgency(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) }
