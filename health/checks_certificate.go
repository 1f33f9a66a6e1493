package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// certificateLimits are days before the end of a certificate: fewer are worse. A month is what a person needs to plan a
// renewal, a week is when it must happen.
func certificateLimits() Limits { return Limits{Warn: 30, Crit: 7} }

func certificateChecks() []Check {
	return []Check{{
		ID: "certificate.expiry", Title: "no certificate that clients are shown ends soon", Scope: ScopeEndpoint,
		Source: "each https endpoint's certificate as served in the handshake, by this machine's clock",
		Rule:   "days until it ends, fewer are worse; certificates of peers and authorities are not looked at",
		Limits: certificateLimits(), Unit: "d", From: FromUs,
		Cause:  "Nobody renews the certificate, or it was renewed on disk and is not the one that is served.",
		Danger: "From its end on, clients refuse the member: the API server loses its store although every member is well.",
		Fix: []string{
			"kubeadm: kubeadm certs renew etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client on each node",
			"elsewhere: write the new certificate and key over the old files; etcd reads them at each handshake, without restart",
			"look again: etcdops health -w wide",
		},
		eval: evalCertificates,
	}}
}

func evalCertificates(v *view, c Check) []Outcome {
	var out []Outcome
	for _, m := range v.members {
		if m.listed && !m.Started() {
			continue // membership.unstarted tells of it
		}
		out = append(out, m.certificates(c, v.facts.TakenAt)...)
	}
	return out
}

// certificates judges every https endpoint of a member.
func (m *member) certificates(check Check, now time.Time) []Outcome {
	var out []Outcome
	for _, e := range slices.Concat(m.answered, m.silent) {
		if !strings.HasPrefix(e.URL, "https://") {
			continue
		}
		o := Outcome{Severity: SeverityUnknown, Message: "its certificate was not seen: " + m.whySilent()}
		if e.Certificate != nil {
			o = check.judgeCertificate(e.Certificate, now)
		}
		o.Member, o.Endpoint = m.label, e.URL
		out = append(out, o)
	}
	switch {
	case len(out) > 0:
	case len(m.answered) > 0:
		out = append(out, Outcome{Member: m.label, Message: "serves no certificate: plaintext"})
	default:
		out = append(out, Outcome{Severity: SeverityUnknown, Member: m.label, Message: "not known: " + m.whySilent()})
	}
	return out
}

// judgeCertificate holds the days that are left against the limits.
func (c Check) judgeCertificate(cert *Certificate, now time.Time) Outcome {
	left := cert.NotAfter.Sub(now)
	days := int(left / (24 * time.Hour))
	o := Outcome{Value: strconv.Itoa(days) + c.Unit, Message: fmt.Sprintf("the certificate of %s ends in %d days", cert.Subject, days)}
	switch {
	case left <= 0:
		o.Severity, o.Message = SeverityCritical, fmt.Sprintf("the certificate of %s ended on %s", cert.Subject, cert.NotAfter.UTC().Format(time.DateOnly))
	case days <= int(c.Limits.Crit):
		o.Severity = SeverityCritical
	case days <= int(c.Limits.Warn):
		o.Severity = SeverityWarning
	}
	o.Limit = c.Limits.crossed(o.Severity, c.Unit)
	if o.Severity != SeverityOK {
		o.Next = "etcdops explain certificate.expiry"
	}
	return o
}
