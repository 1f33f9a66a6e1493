package ops

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// diagnoseTLS explains a handshake that failed on this side, or was refused by the other.
func (e evidence) diagnoseTLS() *HintError {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(e.err, &record):
		return e.plainServer()
	case errors.As(e.err, &authority):
		return e.unknownAuthority()
	case errors.As(e.err, &name):
		return e.wrongName()
	case errors.As(e.err, &invalid):
		return e.invalidCertificate(invalid)
	case errors.As(e.err, &verify):
		return e.fault(CodeServerInvalid, "the server's certificate cannot be verified: "+rootCause(e.err), e.showCertificate())
	}
	if alert, ok := remoteAlert(e.err); ok {
		return e.diagnoseAlert(alert)
	}
	switch {
	case isTimeout(e.err):
		return e.silent()
	case e.ambiguous():
		return e.closedEarly()
	}
	return e.fault(CodeTLSOther, rootCause(e.err), e.showCertificate())
}

func (e evidence) showCertificate() string {
	return "openssl s_client -connect " + e.ep.address + " </dev/null"
}

func (e evidence) plainServer() *HintError {
	return e.fault(CodePlainServer, "the server speaks plain HTTP and this client TLS", "use http://"+e.ep.address)
}

func (e evidence) served() *x509.Certificate {
	if len(e.chain) == 0 {
		return &x509.Certificate{}
	}
	return e.chain[0]
}

func (e evidence) unknownAuthority() *HintError {
	cert := e.served()
	trusted, hint := "the system's authorities", "name the cluster's CA: --cacert FILE"
	if e.tls.CACert != "" {
		trusted, hint = e.tls.CACert, "take the CA that signed it (compare: openssl x509 -noout -subject -in "+e.tls.CACert+"): --cacert FILE"
	}
	return e.fault(CodeUnknownAuthority, fmt.Sprintf("the server's certificate %q was issued by %q, which is not in %s",
		cert.Subject, cert.Issuer, trusted), hint)
}

func (e evidence) wrongName() *HintError {
	want := e.tls.ServerName
	if want == "" {
		want = e.ep.name
	}
	names := certificateNames(e.served())
	hint := "connect to one of these names, or have the certificate issued for " + want
	if len(names) > 0 {
		hint = "connect to one of these names, or verify one of them: --tls-server-name " + names[0]
	}
	return e.fault(CodeWrongName, fmt.Sprintf("the server's certificate is not for %s but for %s", want, listNames(names)), hint)
}

// certificateNames lists what a certificate is valid for; the subject's common name has no say.
func certificateNames(cert *x509.Certificate) []string {
	names := slices.DeleteFunc(slices.Clone(cert.DNSNames), func(name string) bool { return name == "" })
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func listNames(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "no name at all"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (e evidence) invalidCertificate(invalid x509.CertificateInvalidError) *HintError {
	cert := invalid.Cert
	if cert == nil {
		cert = e.served()
	}
	switch invalid.Reason {
	case x509.Expired:
		return e.outOfDate(cert)
	case x509.IncompatibleUsage:
		return e.fault(CodeKeyUsage, fmt.Sprintf("the server's certificate %q was not issued for servers (no \"server auth\" in its extended key usage)", cert.Subject),
			"have it issued again with extendedKeyUsage serverAuth, clientAuth")
	default:
		return e.fault(CodeServerInvalid, "the server's certificate is not valid: "+invalid.Error(), e.showCertificate())
	}
}

// outOfDate tells a certificate that has expired from one that is not valid yet: the second is mostly a wrong clock.
func (e evidence) outOfDate(cert *x509.Certificate) *HintError {
	whose := "the server's certificate"
	if cert.IsCA {
		whose = "the certificate of the authority"
	}
	if e.now.Before(cert.NotBefore) {
		return e.fault(CodeServerNotYet, fmt.Sprintf("%s %q is valid only from %s, in %s: is this machine's clock right?", whose, cert.Subject,
			cert.NotBefore.UTC().Format(time.RFC3339), round(cert.NotBefore.Sub(e.now))), "date -u; chronyc tracking")
	}
	return e.fault(CodeServerExpired, fmt.Sprintf("%s %q expired on %s, %s ago", whose, cert.Subject,
		cert.NotAfter.UTC().Format(time.RFC3339), days(e.now.Sub(cert.NotAfter))),
		"renew it on that member (kubeadm: kubeadm certs renew etcd-server); etcd reads the new file by itself")
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return round(d).String()
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}

// remoteAlert returns the alert that the other side sent, in crypto/tls's words without their prefix.
func remoteAlert(err error) (string, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return "", false
	}
	return strings.TrimPrefix(op.Err.Error(), "tls: "), true
}

// diagnoseAlert explains the server's refusal. Servers tell little, so the client's own certificate is looked at too.
func (e evidence) diagnoseAlert(alert string) *HintError {
	e.stage = StageTLS // in TLS 1.3 the refusal arrives one stage late
	switch alert {
	case "certificate required", "bad certificate", "unknown certificate", "unknown certificate authority", "expired certificate",
		"revoked certificate", "unsupported certificate", "access denied", "error decrypting message":
		return e.clientCertificate(alert)
	case "unrecognized name":
		return e.fault(CodeWrongName, "the server knows no certificate for the name "+e.ep.name, "try the name in its certificate: --tls-server-name NAME")
	case "internal error":
		return e.fault(CodeTLSOther, "the server cannot use its own certificate (internal error): it does not belong to its key, or one of the files cannot be read",
			"on that host compare what --cert-file and --key-file name: openssl x509 -noout -pubkey -in CERT; openssl pkey -pubout -in KEY")
	case "no application protocol":
		return e.fault(CodeNotEtcd, "the server does not offer HTTP/2: not etcd, or a proxy without HTTP/2", "check host and port; "+e.showCertificate())
	}
	return e.fault(CodeTLSOther, "the server ended the TLS handshake: "+alert, "look at that member's log; "+e.showCertificate())
}

func (e evidence) clientCertificate(alert string) *HintError {
	leaf := e.leaf
	if leaf == nil {
		return e.fault(CodeClientCertNeeded, "the server asks for a client certificate and none was given", "give one: --cert FILE --key FILE")
	}
	switch {
	case e.now.After(leaf.NotAfter):
		return e.fault(CodeClientCertExpired, fmt.Sprintf("the client certificate %s expired on %s, %s ago", e.tls.Cert,
			leaf.NotAfter.UTC().Format(time.RFC3339), days(e.now.Sub(leaf.NotAfter))),
			"renew it (kubeadm: kubeadm certs renew etcd-healthcheck-client), or use another: --cert FILE --key FILE")
	case e.now.Before(leaf.NotBefore):
		return e.fault(CodeClientCertExpired, fmt.Sprintf("the client certificate %s is valid only from %s: is this machine's clock right?", e.tls.Cert,
			leaf.NotBefore.UTC().Format(time.RFC3339)), "date -u; chronyc tracking")
	case !forClients(leaf):
		return e.fault(CodeKeyUsage, fmt.Sprintf("the client certificate %s was not issued for clients (no \"client auth\" in its extended key usage); the server says %q", e.tls.Cert, alert),
			"use a client certificate: --cert FILE --key FILE")
	}
	return e.fault(CodeClientCertRefused, fmt.Sprintf("the server refuses the client certificate %s (%q, issued by %q): %q", e.tls.Cert, leaf.Subject, leaf.Issuer, alert),
		"use one that the server's --trusted-ca-file signed: --cert FILE --key FILE")
}

// forClients reports whether a certificate may prove a client; one without the extension may be used for anything.
func forClients(cert *x509.Certificate) bool {
	if len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}
