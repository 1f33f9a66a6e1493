package health

import (
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"strings"
)

// plaintextOnly reports whether no member in the list has a URL of TLS among those that pick returns.
func (v *view) plaintextOnly(pick func(*member) []string) bool {
	for _, m := range v.members {
		if slices.ContainsFunc(pick(m), isHTTPS) {
			return false
		}
	}
	return true
}

func isHTTPS(u string) bool { return strings.HasPrefix(u, "https://") }

func evalPeerCertificates(v *view, c Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	if v.plaintextOnly(func(m *member) []string { return m.PeerURLs }) {
		return []Outcome{{Message: "the members talk to each other without TLS: see membership.plaintext"}}
	}
	var out []Outcome
	for _, m := range v.members {
		if m.listed && !m.Started() {
			continue
		}
		for _, u := range m.PeerURLs {
			if !isHTTPS(u) {
				continue
			}
			o := Outcome{Severity: SeverityUnknown, Message: "its peer certificate was not seen" + v.whyUnseen(u)}
			if p := v.peer(u); p != nil && p.Certificate != nil {
				o = c.judgeCertificate(p.Certificate, v.facts.TakenAt)
				o.Message = "to its peers: " + o.Message
			}
			o.Member, o.Endpoint = m.label, u
			out = append(out, o)
		}
	}
	return out
}

func (v *view) peer(u string) *Peer {
	for i := range v.facts.Peers {
		if v.facts.Peers[i].URL == u {
			return &v.facts.Peers[i]
		}
	}
	return nil
}

func (v *view) whyUnseen(u string) string {
	if p := v.peer(u); p != nil {
		return because(p.Connect.Failure)
	}
	return ": it was not asked"
}

// file returns what is known of the file of one use, nil when the caller's settings name none.
func (v *view) file(use string) *CertificateFile {
	for i := range v.facts.Files {
		if v.facts.Files[i].Use == use {
			return &v.facts.Files[i]
		}
	}
	return nil
}

func evalClientCertificate(v *view, c Check) []Outcome {
	f := v.file(useClient)
	switch {
	case f == nil:
		return []Outcome{{Message: "no client certificate is in use here"}}
	case len(f.Certificates) == 0:
		return unknown(f.Path + " holds no certificate that can be read: " + f.Problem)
	}
	o := c.judgeCertificate(&f.Certificates[0], v.facts.TakenAt)
	o.Message = f.Path + ": " + o.Message
	return []Outcome{o}
}

// evalAuthorities judges the authorities that signed something which was seen. Of a file without any such, as when a
// chain leads over others, all are judged when they are few.
func evalAuthorities(v *view, c Check) []Outcome {
	const few = 4
	f := v.file(useAuthority)
	switch {
	case f == nil && v.plaintextOnly(func(m *member) []string { return slices.Concat(m.ClientURLs, m.PeerURLs) }) && v.list != nil:
		return []Outcome{{Message: "nothing is encrypted here: see membership.plaintext"}}
	case f == nil && len(v.issuers()) == 0:
		return nil
	case f == nil:
		return unknown("no file of authorities is named: those of this system are in use")
	case len(f.Certificates) == 0:
		return unknown(f.Path + " holds no certificate that can be read: " + f.Problem)
	}
	issuers := v.issuers()
	var out []Outcome
	for _, all := range []bool{false, true} {
		for i := range f.Certificates {
			if cert := &f.Certificates[i]; all || slices.Contains(issuers, cert.Subject) {
				o := c.judgeCertificate(cert, v.facts.TakenAt)
				o.Message = f.Path + ": " + o.Message
				out = append(out, o)
			}
		}
		if len(out) > 0 || len(f.Certificates) > few {
			break
		}
	}
	if len(out) == 0 {
		return unknown("none of the " + plural(len(f.Certificates), "authority") + " in " + f.Path + " signed a certificate that was seen directly")
	}
	return out
}

// issuers are the names of those who signed the certificates that were seen.
func (v *view) issuers() []string {
	var out []string
	for i := range v.facts.Endpoints {
		if cert := v.facts.Endpoints[i].Certificate; cert != nil {
			out = append(out, cert.Issuer)
		}
	}
	for i := range v.facts.Peers {
		if cert := v.facts.Peers[i].Certificate; cert != nil {
			out = append(out, cert.Issuer)
		}
	}
	return out
}

func evalNames(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	var out []Outcome
	for _, m := range v.members {
		for _, e := range slices.Concat(m.answered, m.silent) {
			if !isHTTPS(e.URL) {
				continue
			}
			if !slices.Contains(m.ClientURLs, e.URL) {
				continue // an address of the caller's own, such as a tunnel: the connection itself has verified it
			}
			out = append(out, m.fits(e.URL, e.Certificate, e.why, usageServer))
		}
		for _, u := range m.PeerURLs {
			if p := v.peer(u); isHTTPS(u) && (m.Started() || p != nil && p.Certificate != nil) {
				var cert *Certificate
				if p != nil {
					cert = p.Certificate
				}
				out = append(out, m.fits(u, cert, func() string { return strings.TrimPrefix(v.whyUnseen(u), ": ") }, usageServer, usageClient))
			}
		}
	}
	if len(out) == 0 {
		out = append(out, Outcome{Message: "no advertised URL has a certificate"})
	}
	return out
}

// fits judges whether a certificate may be shown at a URL for all of the uses.
func (m *member) fits(u string, cert *Certificate, why func() string, uses ...string) Outcome {
	o := Outcome{Member: m.label, Endpoint: u, Message: "the certificate at " + u + " fits"}
	if cert == nil {
		o.Severity, o.Message = SeverityUnknown, "the certificate at "+u+" was not seen: "+why()
		return o
	}
	parsed, err := url.Parse(u)
	if err != nil {
		o.Severity, o.Message = SeverityUnknown, u+" is no URL"
		return o
	}
	const next = "have it made again; etcdops explain certificate.names"
	if !cert.names(parsed.Hostname()) {
		o.Severity, o.Value, o.Next = SeverityWarning, parsed.Hostname(), next
		o.Message = "the certificate at " + u + " does not name " + parsed.Hostname() + ", but " + listed(cert.Names)
		return o
	}
	for _, use := range uses {
		if len(cert.Usages) > 0 && !slices.Contains(cert.Usages, use) && !slices.Contains(cert.Usages, usageAny) {
			o.Severity, o.Value, o.Next = SeverityWarning, strings.Join(cert.Usages, ","), next
			o.Message = "the certificate at " + u + " is not made for " + use + " authentication"
			return o
		}
	}
	return o
}

// names reports whether the certificate is valid for a host, by the rules of crypto/x509.
func (c *Certificate) names(host string) bool {
	var cert x509.Certificate
	for _, name := range c.Names {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	return cert.VerifyHostname(host) == nil
}

// listed writes some names.
func listed(names []string) string {
	const most = 6
	switch {
	case len(names) == 0:
		return "no host at all"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
