package health

import (
	"testing"
	"time"
)

func TestJudgeCertificate(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name  string
		left  time.Duration
		want  Severity
		value string
		limit string
	}{
		{"a year", 365 * day, SeverityOK, "365d", ""},
		{"just more than a month", 31 * day, SeverityOK, "31d", ""},
		{"a month", 30 * day, SeverityWarning, "30d", "30d"},
		{"twenty days", 20 * day, SeverityWarning, "20d", "30d"},
		{"eight days", 8 * day, SeverityWarning, "8d", "30d"},
		{"five days", 5*day + time.Hour, SeverityCritical, "5d", "7d"},
		{"an hour", time.Hour, SeverityCritical, "0d", "7d"},
		{"ended", -day, SeverityCritical, "-1d", "7d"},
	} {
		o := certificateChecks()[0].judgeCertificate(&Certificate{Subject: "CN=m1", NotAfter: now.Add(tc.left)}, now)
		if o.Severity != tc.want || o.Value != tc.value || o.Limit != tc.limit || o.Message == "" || (o.Next == "") != (tc.want == SeverityOK) {
			t.Errorf("%s: %+v", tc.name, o)
		}
	}
}

// TestCertificatesOfMembers: what was not seen is unknown; a plaintext member has nothing to judge.
func TestCertificatesOfMembers(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	secure := &Endpoint{URL: "https://m1:2379", Certificate: &Certificate{NotAfter: now.AddDate(1, 0, 0)}}
	unseen := &Endpoint{URL: "https://m1:2379"}
	plain := &Endpoint{URL: "http://m1:2379"}
	for _, tc := range []struct {
		name             string
		answered, silent []*Endpoint
		want             []Severity
	}{
		{"seen", []*Endpoint{secure}, nil, []Severity{SeverityOK}},
		{"one seen, one silent", []*Endpoint{secure}, []*Endpoint{unseen}, []Severity{SeverityOK, SeverityUnknown}},
		{"plaintext", []*Endpoint{plain}, nil, []Severity{SeverityOK}},
		{"silent and plaintext", nil, []*Endpoint{plain}, []Severity{SeverityUnknown}},
		{"nothing known", nil, nil, []Severity{SeverityUnknown}},
	} {
		m := member{label: "m1", answered: tc.answered, silent: tc.silent}
		out := m.certificates(certificateChecks()[0], now)
		if len(out) != len(tc.want) {
			t.Errorf("%s: %+v", tc.name, out)
			continue
		}
		for i, o := range out {
			if o.Severity != tc.want[i] || o.Member != "m1" {
				t.Errorf("%s: %+v", tc.name, o)
			}
		}
	}
}
