package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"testing"
	"time"
)

// CertOptions says what a certificate looks like; the zero value is a good one for this machine.
type CertOptions struct {
	Name         string             // common name; default "server", "peer" or "client" (etcd maps it to a user)
	Organization []string           // organisation of the subject
	Hosts        []string           // names and addresses it is valid for; default 127.0.0.1, ::1, localhost
	NoHosts      bool               // leave out every name and address, as old authorities did
	Days         int                // days left; default 365; negative: expired that many days ago
	StartsIn     time.Duration      // not valid before that time from now
	Usages       []x509.ExtKeyUsage // default: server: serverAuth; client: clientAuth; peer: both
	WithChain    *CA                // append this authority's certificate to the file, as a chain
}

// Server makes a certificate for a server. It returns the names of the PEM files.
func (ca *CA) Server(tb testing.TB, opts CertOptions) (certFile, keyFile string) {
	tb.Helper()
	return ca.leaf(tb, "server", opts, x509.ExtKeyUsageServerAuth)
}

// Client makes a certificate for a client; it is valid for no host unless opts name some.
func (ca *CA) Client(tb testing.TB, opts CertOptions) (certFile, keyFile string) {
	tb.Helper()
	if opts.Hosts == nil {
		opts.NoHosts = true
	}
	return ca.leaf(tb, "client", opts, x509.ExtKeyUsageClientAuth)
}

// Peer makes a certificate for a member that is both server and client to others.
func (ca *CA) Peer(tb testing.TB, opts CertOptions) (certFile, keyFile string) {
	tb.Helper()
	return ca.leaf(tb, "peer", opts, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// leaf makes a certificate of the given kind; the kind is also its default name.
func (ca *CA) leaf(tb testing.TB, kind string, opts CertOptions, usages ...x509.ExtKeyUsage) (certFile, keyFile string) {
	tb.Helper()
	if opts.Name == "" {
		opts.Name = kind
	}
	if opts.Days == 0 {
		opts.Days = 365
	}
	if opts.Usages != nil {
		usages = opts.Usages
	}
	from, until := validity(opts.Days, opts.StartsIn)
	template := &x509.Certificate{
		SerialNumber: randomSerial(tb),
		Subject:      pkix.Name{CommonName: opts.Name, Organization: opts.Organization},
		NotBefore:    from,
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usages,
	}
	addHosts(template, opts)
	key := newKey(tb)
	der, _ := sign(tb, template, ca.cert, key, ca.key)
	certFile, keyFile = write(tb, stem(ca.dir, kind, template), der, key)
	if opts.WithChain != nil {
		appendFile(tb, certFile, opts.WithChain.CertFile)
	}
	return certFile, keyFile
}

// addHosts fills in the subject's alternative names.
func addHosts(template *x509.Certificate, opts CertOptions) {
	if opts.NoHosts {
		return
	}
	hosts := opts.Hosts
	if hosts == nil {
		hosts = []string{"127.0.0.1", "::1", "localhost"}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
}

// appendFile adds the content of from to the end of to.
func appendFile(tb testing.TB, to, from string) {
	tb.Helper()
	head, err := os.ReadFile(to)
	if err != nil {
		tb.Fatalf("read certificate: %v", err)
	}
	tail, err := os.ReadFile(from)
	if err != nil {
		tb.Fatalf("read certificate: %v", err)
	}
	if err := os.WriteFile(to, append(head, tail...), 0o644); err != nil {
		tb.Fatalf("write certificate: %v", err)
	}
}
