package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// day is the unit of CAOptions.Days and CertOptions.Days.
const day = 24 * time.Hour

// CAOptions says what an authority looks like; the zero value is a good one.
type CAOptions struct {
	Name string // common name; default "clustertest CA"
	Days int    // days left; default 3650; negative: expired that many days ago
	Dir  string // where files are written; default the test's own directory
}

// CA is a certificate authority with its files.
type CA struct {
	CertFile string // PEM certificate
	KeyFile  string // PEM private key

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a self-signed authority.
func NewCA(tb testing.TB, opts CAOptions) *CA {
	tb.Helper()
	return newCA(tb, opts, nil)
}

// Intermediate makes an authority that ca signed. Its CertFile holds its own certificate only.
func (ca *CA) Intermediate(tb testing.TB, opts CAOptions) *CA {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = ca.dir
	}
	return newCA(tb, opts, ca)
}

// Pool returns a pool that holds this authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// newCA makes an authority signed by parent, or by itself when that is nil.
func newCA(tb testing.TB, opts CAOptions, parent *CA) *CA {
	tb.Helper()
	if opts.Name == "" {
		opts.Name = "clustertest CA"
	}
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	if opts.Days == 0 {
		opts.Days = 3650
	}
	from, until := validity(opts.Days, 0)
	template := &x509.Certificate{
		SerialNumber:          randomSerial(tb),
		Subject:               pkix.Name{CommonName: opts.Name, Organization: []string{"clustertest"}},
		NotBefore:             from,
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	ca := &CA{dir: opts.Dir, key: newKey(tb)}
	signer, signerKey := template, ca.key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	var der []byte
	der, ca.cert = sign(tb, template, signer, ca.key, signerKey)
	ca.CertFile, ca.KeyFile = write(tb, stem(opts.Dir, "ca", template), der, ca.key)
	return ca
}

// sign returns the certificate of key made from template, encoded and parsed.
func sign(tb testing.TB, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, *x509.Certificate) {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		tb.Fatalf("sign certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("parse certificate: %v", err)
	}
	return der, cert
}

// validity is the period that ends in the given number of days (negative: ended) and starts startsIn from now.
func validity(days int, startsIn time.Duration) (from, until time.Time) {
	now := time.Now()
	until = now.Add(time.Duration(days) * day)
	from = now.Add(-time.Hour)
	switch {
	case startsIn > 0:
		from = now.Add(startsIn)
	case until.Before(now):
		from = until.Add(-30 * day)
	}
	return from, until
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make key: %v", err)
	}
	return key
}

func randomSerial(tb testing.TB) *big.Int {
	tb.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		tb.Fatalf("make serial number: %v", err)
	}
	return n
}

// write stores certificate and key as stem.crt and stem.key, the key readable by its owner only.
func write(tb testing.TB, stem string, der []byte, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	tb.Helper()
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("encode key: %v", err)
	}
	certFile, keyFile = stem+".crt", stem+".key"
	writePEM(tb, certFile, 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	writePEM(tb, keyFile, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return certFile, keyFile
}

func writePEM(tb testing.TB, file string, mode os.FileMode, block *pem.Block) {
	tb.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(block), mode); err != nil {
		tb.Fatalf("write certificate: %v", err)
	}
}

// stem is the file name, without its end, of a certificate: no two are the same, also where authorities share a directory.
func stem(dir, kind string, template *x509.Certificate) string {
	return filepath.Join(dir, kind+"-"+template.SerialNumber.Text(36))
}
