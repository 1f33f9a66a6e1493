package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Bounds of what discovery reads of one file. What is larger is not what it looks for.
const (
	maxDiscovered = 1 << 20   // manifests, settings, certificates
	maxCommand    = 256 << 10 // a command line or environment
)

// machine is the file system that discovery looks at; paths outside of it begin with /.
type machine struct {
	root     string
	programs []process // running ones of interest, once surveyed
	surveyed bool
}

// path turns a path of the machine into one that can be opened.
func (m *machine) path(p string) string {
	if m.root == "" {
		return p
	}
	return filepath.Join(m.root, p)
}

// exists reports whether a file is there, readable or not. Paths from here on are ones that can be opened.
func (m *machine) exists(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		// A directory that this user may not enter: the file may be there, and its error says what to do.
		return errors.Is(err, os.ErrPermission)
	}
	return info.Mode().IsRegular()
}

// present reports whether anything is there.
func (m *machine) present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// read returns a regular file of at most limit bytes, nil when there is none that can be read. It never waits, whatever
// the path leads to.
func (m *machine) read(path string, limit int64) []byte {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }() // only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil || int64(len(data)) > limit {
		return nil
	}
	return data
}

// glob returns the files that match a pattern, in the order of their names.
func (m *machine) glob(pattern string) []string {
	matches, err := filepath.Glob(m.path(pattern))
	if err != nil {
		return nil
	}
	return matches
}

// How well a client certificate serves: the higher the better, and the first of the best is taken.
const (
	unusable = iota // a file is missing, or another authority signed it
	hidden          // it is there, but this user may not read it: the error will say so
	outdated        // it has expired, or is not valid yet
	usable
)

// fitness judges a pair against the authority that the server trusts.
func (m *machine) fitness(p pair, ca string) int {
	if !m.exists(p.cert) || !m.exists(p.key) {
		return unusable
	}
	certPEM, keyPEM := m.read(p.cert, maxDiscovered), m.read(p.key, maxDiscovered)
	switch {
	case forbidden(p.cert), forbidden(p.key):
		return hidden
	case keyPEM == nil:
		return unusable
	}
	certs := parseCertificates(certPEM)
	if len(certs) == 0 {
		return unusable
	}
	leaf := certs[0]
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) && len(leaf.ExtKeyUsage) > 0 {
		return unusable
	}
	if authority := m.read(ca, maxDiscovered); authority != nil && !signedBy(leaf, certs[1:], authority) {
		return unusable
	}
	if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return outdated
	}
	return usable
}

// forbidden reports whether a file is there for others only.
func forbidden(path string) bool {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		_ = file.Close() // only opened
	}
	return errors.Is(err, os.ErrPermission)
}

func parseCertificates(data []byte) []*x509.Certificate {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certs
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			certs = append(certs, cert)
		}
	}
}

// signedBy reports whether authority, a PEM bundle, signed a certificate; whether it is in date is another question.
func signedBy(leaf *x509.Certificate, chain []*x509.Certificate, authority []byte) bool {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return true // no authority to judge by
	}
	for _, cert := range chain {
		middle.AddCert(cert)
	}
	at := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: middle, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}
