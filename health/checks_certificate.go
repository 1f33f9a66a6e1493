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
		Rule:   "days until it ends, fewer are worse",
		Limits: certificateLimits(), Unit: "d", Fewer: true, From: FromUs,
		Cause:  "Nobody renews the certificate, or it was renewed on disk and is not the one that is served.",
		Danger: "From its end on, clients refuse the member: the API server loses its store although every member is well.",
		Fix: []string{
			"kubeadm: kubeadm certs renew etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client on each node",
			"elsewhere: write the new certificate and key over the old files; etcd reads them at each handshake, without restart",
			"look again: etcdops health -w wide",
		},
		eval: evalCertificates,
	}, {
		ID: "certificate.peer", Title: "no certificate that members show each other ends soon", Scope: ScopeMember, Depth: DepthNormal,
		Source: "each https peer URL's certificate as served in a handshake, by this machine's clock", Rule: "days until it ends, fewer are worse",
		Limits: certificateLimits(), Unit: "d", Fewer: true, From: FromUs,
		Cause:  "Nobody renews the certificate, or it was renewed on disk and is not the one that is served.",
		Danger: "From its end on, the members refuse each other: elections, then no quorum.",
		Fix: []string{
			"kubeadm: kubeadm certs renew etcd-peer on each node",
			"elsewhere: write the new certificate and key over the old files; etcd reads them at each handshake, without restart",
		},
		eval: evalPeerCertificates,
	}, {
		ID: "certificate.client", Title: "the client certificate in use does not end soon", Scope: ScopeCluster, Depth: DepthNormal,
		Source: "the file that --cert or its equivalents name", Rule: "days until it ends, fewer are worse",
		Limits: certificateLimits(), Unit: "d", Fewer: true, From: FromUs,
		Cause:  "Nobody renews the certificate of this client.",
		Danger: "From its end on, whoever uses this file is refused: this program, and perhaps the API server.",
		Fix:    []string{"kubeadm: kubeadm certs renew etcd-healthcheck-client apiserver-etcd-client", "elsewhere: have it signed again"},
		eval:   evalClientCertificate,
	}, {
		ID: "certificate.authority", Title: "the authorities last", Scope: ScopeCluster, Depth: DepthNormal,
		Source: "the file that --cacert or its equivalents name: the authorities in it that signed what the members show", Rule: "days until they end, fewer are worse",
		Limits: Limits{Warn: 730, Crit: 365}, Unit: "d", Fewer: true, From: FromOpenShift,
		Cause:  "An authority was made for some years, and those are nearly over.",
		Danger: "From its end on nothing that it signed is accepted; to replace it, every member and every client has to be visited.",
		Fix: []string{
			"make the new authority now, and give both, in one file, to all members and clients; restart the members one after the other",
			"then renew the certificates; then take the old authority out",
		},
		eval: evalAuthorities,
	}, {
		ID: "certificate.names", Title: "the members' certificates fit their addresses and their use", Scope: ScopeEndpoint, Depth: DepthNormal,
		Source: "names and extended key usages in the certificates of client and peer URLs",
		Rule:   "warns for an advertised host that the certificate does not name, for a client URL's without server authentication, and for a peer URL's without both server and client authentication", From: FromUs,
		Cause:  "The address was changed after the certificate was made, or the certificate was made for another use.",
		Danger: "Clients and peers that verify refuse the member, at the latest when they connect anew.",
		Fix:    []string{"have the certificate made again with all advertised hosts as subject alternative names", "peers' need extendedKeyUsage serverAuth and clientAuth"},
		eval:   evalNames,
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
