package health

import "strings"

func evalReachability(v *view, _ Check) []Outcome {
	var out []Outcome
	for _, m := range v.members {
		out = append(out, m.reach()...)
	}
	heard := false
	for i := range v.facts.Endpoints {
		f := v.facts.Endpoints[i].failure()
		heard = heard || f == nil || f.alive()
	}
	for _, e := range v.strays {
		if f := e.failure(); f != nil {
			out = append(out, silence("", e, f, "nobody answers"))
		}
	}
	if n := v.facts.NotAsked; n > 0 {
		out = append(out, Outcome{Severity: SeverityUnknown, Message: plural(n, "advertised URL") + " more than are asked at most"})
	}
	if !heard {
		for i := range out {
			out[i].Severity = max(out[i].Severity, SeverityCritical)
		}
	}
	return out
}

// reach judges how one member can be reached. A member that never started has no address yet: it is left to
// membership.unstarted.
func (m *member) reach() []Outcome {
	var out []Outcome
	switch {
	case len(m.answered) > 0:
		out = append(out, Outcome{Member: m.label, Endpoint: m.answered[0].URL, Message: "answers at " + m.answered[0].URL})
		for _, e := range m.silent {
			text := "answers at " + m.answered[0].URL + ", but not at its advertised URL"
			out = append(out, silence(m.label, e, e.failure(), text))
		}
	case len(m.silent) > 0:
		for _, e := range m.silent {
			out = append(out, silence(m.label, e, e.failure(), "does not answer"))
		}
	case !m.Started():
	case len(m.elsewhere) > 0:
		e := m.elsewhere[0]
		out = append(out, Outcome{
			Severity: SeverityWarning, Member: m.label, Endpoint: e.URL,
			Message: "somebody else answers at its advertised " + e.URL, Next: "etcdops explain endpoint.identity",
		})
	default:
		out = append(out, Outcome{
			Severity: SeverityWarning, Member: m.label,
			Message: "it advertises no client URL, so nobody can ask it", Next: "restart it with --advertise-client-urls",
		})
	}
	return out
}

// silence is the outcome of an endpoint that gave no status. That a member at work keeps its status from this user says
// nothing about its health.
func silence(label string, e *Endpoint, f *Failure, text string) Outcome {
	switch {
	case f.Kind == KindWaiting:
		text = strings.Replace(text, "nobody answers", "serves nobody", 1)
		text = strings.Replace(text, "does not answer", "serves nobody", 1)
	case f.alive():
		text = "answers at " + e.URL + ", but tells nothing of itself"
	case f.Kind == KindError && e.Connect.Failure == nil && len(e.Statuses) > 0:
		text = "no sound member answers"
	}
	if _, address, _ := strings.Cut(e.URL, "://"); !strings.Contains(text+f.Message, address) {
		text += " at " + e.URL
	}
	o := Outcome{
		Severity: SeverityWarning, Member: label, Endpoint: e.URL, Value: string(f.Kind),
		Message: text + ": " + f.Message, Next: f.Hint,
	}
	if f.alive() {
		o.Severity = SeverityUnknown
	}
	return o
}
