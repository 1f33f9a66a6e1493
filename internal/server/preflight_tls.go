package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/etcdops/etcdops/ops"
)

// checkCertificates reads every certificate, key, authority and revocation list that the member will use. The notes are
// about what works only in part.
func checkCertificates(cfg *embed.Config) (notes []string, err error) {
	now := time.Now()
	client := slices.Concat(cfg.ListenClientUrls, cfg.ListenClientHttpUrls, cfg.ListenMetricsUrls)
	if err := checkSide("", cfg.ClientTLSInfo, client, cfg.ClientAutoTLS, now); err != nil {
		return nil, err
	}
	if err := checkSide("peer-", cfg.PeerTLSInfo, cfg.ListenPeerUrls, cfg.PeerAutoTLS, now); err != nil {
		return nil, err
	}
	if err := checkPeerAuthority(cfg.PeerTLSInfo, now); err != nil {
		return nil, err
	}
	return gatewayNotes(cfg, now), nil
}

// checkSide checks the files of the client side (prefix "") or the peer side ("peer-").
func checkSide(prefix string, info transport.TLSInfo, listen []url.URL, auto bool, now time.Time) error {
	secure := slices.ContainsFunc(listen, func(u url.URL) bool { return u.Scheme == "https" || u.Scheme == "unixs" })
	if info.Empty() {
		if secure && !auto {
			return tlsError("ETO-3010", "", fmt.Errorf("an https URL needs --%scert-file and --%skey-file", prefix, prefix),
				fmt.Sprintf("give both files, or --%sauto-tls=true for certificates that nobody can verify", prefix))
		}
		return nil
	}
	if prefix == "" && !secure {
		return nil // upstream does not read them either
	}
	if err := checkPair(info.CertFile, info.KeyFile, prefix+"cert-file", prefix+"key-file", now); err != nil {
		return err
	}
	if info.ClientCertFile != "" || info.ClientKeyFile != "" {
		err := checkPair(info.ClientCertFile, info.ClientKeyFile, prefix+"client-cert-file", prefix+"client-key-file", now)
		if err != nil {
			return err
		}
	}
	if err := checkAuthority(info.TrustedCAFile, prefix+"trusted-ca-file", now); err != nil {
		return err
	}
	return checkRevocations(info.CRLFile)
}

// checkPair checks a certificate and its key.
func checkPair(certFile, keyFile, certFlag, keyFlag string, now time.Time) error {
	if certFile == "" || keyFile == "" {
		return tlsError("ETO-3010", certFile+keyFile, fmt.Errorf("--%s and --%s go together", certFlag, keyFlag), "give both")
	}
	certPEM, err := readTLSFile(certFile)
	if err != nil {
		return err
	}
	keyPEM, err := readTLSFile(keyFile)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return explainPair(certFile, keyFile, err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return tlsError("ETO-3010", certFile, err, "the file must hold a PEM certificate")
	}
	if now.After(leaf.NotAfter) {
		return tlsError("ETO-3012", certFile, fmt.Errorf("certificate %q expired %s", name(leaf), ago(now, leaf.NotAfter)),
			"renew it, and check this machine's clock: "+now.UTC().Format(time.RFC3339))
	}
	return nil
}

// explainPair tells a key of another certificate from files that are something else.
func explainPair(certFile, keyFile string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "does not match"):
		return tlsError("ETO-3011", certFile, fmt.Errorf("it does not belong to the key %s", keyFile),
			"openssl x509 -noout -pubkey -in "+certFile+" and openssl pkey -pubout -in "+keyFile+" must print the same")
	case strings.Contains(text, "key"):
		return tlsError("ETO-3010", keyFile, err, "the file must hold a PEM private key without a passphrase")
	}
	return tlsError("ETO-3010", certFile, err, "the file must hold a PEM certificate")
}

// checkAuthority checks a bundle of authorities; file may be empty.
func checkAuthority(file, flagName string, now time.Time) error {
	if file == "" {
		return nil
	}
	bundle, err := readBundle(file)
	if err != nil {
		return err
	}
	if len(bundle) == 0 {
		return tlsError("ETO-3013", file, errors.New("it holds no PEM certificate"), "--"+flagName+" wants the certificate of the authority")
	}
	if !slices.ContainsFunc(bundle, func(c *x509.Certificate) bool { return now.Before(c.NotAfter) }) {
		return tlsError("ETO-3012", file, fmt.Errorf("authority %q expired %s", name(bundle[0]), ago(now, bundle[0].NotAfter)),
			"renew the authority and what it signed, and check this machine's clock: "+now.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkPeerAuthority refuses a peer certificate that this member itself would not accept from another.
func checkPeerAuthority(info transport.TLSInfo, now time.Time) error {
	if info.Empty() || info.TrustedCAFile == "" {
		return nil
	}
	if err := verifyAgainst(info.TrustedCAFile, info.CertFile, now, x509.ExtKeyUsageAny); err != nil {
		return tlsError("ETO-3013", info.CertFile, fmt.Errorf("it is not signed by an authority in %s: %w", info.TrustedCAFile, err),
			"--peer-trusted-ca-file must hold the authority that signed --peer-cert-file")
	}
	return nil
}

// gatewayNotes warns when the JSON gateway, a client of this very member, will be turned away: it shows the server's
// certificate where no client certificate is given.
func gatewayNotes(cfg *embed.Config, now time.Time) []string {
	info := cfg.ClientTLSInfo
	secure := slices.ContainsFunc(cfg.ListenClientUrls, func(u url.URL) bool { return u.Scheme == "https" })
	if !secure || !cfg.EnableGRPCGateway || info.Empty() || info.TrustedCAFile == "" {
		return nil
	}
	shown := info.CertFile
	if info.ClientCertFile != "" {
		shown = info.ClientCertFile
	}
	if err := verifyAgainst(info.TrustedCAFile, shown, now, x509.ExtKeyUsageClientAuth); err != nil {
		return []string{fmt.Sprintf("the JSON gateway (/v3/) will not work: %s is no client certificate that %s accepts (%v); "+
			"give --client-cert-file and --client-key-file, or --enable-grpc-gateway=false", shown, info.TrustedCAFile, err)}
	}
	return nil
}

// verifyAgainst checks the first certificate of a file against a bundle of authorities.
func verifyAgainst(bundleFile, certFile string, now time.Time, usage x509.ExtKeyUsage) error {
	roots, err := readBundle(bundleFile)
	if err != nil {
		return err
	}
	chain, err := readBundle(certFile)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if now.Before(chain[0].NotBefore) { // a clock that is behind is no reason not to start
		opts.CurrentTime = chain[0].NotBefore
	}
	_, err = chain[0].Verify(opts)
	return err
}

// readBundle reads every PEM certificate of a file, as upstream does.
func readBundle(file string) ([]*x509.Certificate, error) {
	rest, err := readTLSFile(file)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certs, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, tlsError("ETO-3013", file, err, "the file must hold PEM certificates and nothing else")
		}
		certs = append(certs, cert)
	}
}

// checkRevocations checks a revocation list; file may be empty. Upstream reads it at each handshake, in DER.
func checkRevocations(file string) error {
	if file == "" {
		return nil
	}
	text, err := readTLSFile(file)
	if err != nil {
		return err
	}
	if _, err := x509.ParseRevocationList(text); err != nil {
		return tlsError("ETO-3014", file, err, "openssl crl -in "+file+" -outform DER -out "+file+".der")
	}
	return nil
}

func readTLSFile(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		return text, nil
	}
	hint := "check the path"
	if errors.Is(err, fs.ErrPermission) {
		hint = "ls -l " + file + ": the member's user must be able to read it"
	}
	return nil, tlsError("ETO-3010", file, err, hint)
}

func tlsError(code ops.Code, file string, err error, hint string) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // the file is named already
	}
	return usageError(code, "check certificate", file, err, hint)
}

// name is the certificate's common name, or its first other name.
func name(cert *x509.Certificate) string {
	if cert.Subject.CommonName != "" {
		return cert.Subject.CommonName
	}
	return strings.Join(cert.DNSNames, ",")
}

// ago says when something was, for people: the date and how long ago.
func ago(now, then time.Time) string {
	since := now.Sub(then)
	if since < 48*time.Hour {
		unit := time.Minute
		if since < time.Hour {
			unit = time.Second
		}
		return fmt.Sprintf("at %s, %s ago", then.UTC().Format(time.RFC3339), since.Round(unit))
	}
	return fmt.Sprintf("on %s, %d days ago", then.UTC().Format(time.DateOnly), int(since.Hours()/24))
}
