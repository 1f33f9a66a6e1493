package ops

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// maxPEMBytes bounds what is read of a certificate, key or CA file; the largest system bundles have about 250 KB.
const maxPEMBytes = 4 << 20

// tlsFiles loads the files of a TLS set-up, and loads them again for a new connection when they changed on disk.
type tlsFiles struct {
	cfg TLS

	mu     sync.Mutex
	loaded *tlsMaterial
	stamps [3]fileStamp // of CACert, Cert, Key when loaded
}

// tlsMaterial is what the files hold.
type tlsMaterial struct {
	roots *x509.CertPool   // nil: the system's
	cert  *tls.Certificate // nil: none
}

// fileStamp tells one content of a path from the next, also when a link is swapped under it.
type fileStamp struct {
	info fs.FileInfo
}

func stampOf(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info: info}
}

func (s fileStamp) same(o fileStamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// get returns the material as the files are now. The error is a *HintError that names the file.
func (f *tlsFiles) get() (*tlsMaterial, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamps := [3]fileStamp{stampOf(f.cfg.CACert), stampOf(f.cfg.Cert), stampOf(f.cfg.Key)}
	if f.loaded != nil && stamps[0].same(f.stamps[0]) && stamps[1].same(f.stamps[1]) && stamps[2].same(f.stamps[2]) {
		return f.loaded, nil
	}
	m, err := loadTLS(f.cfg)
	if err != nil {
		return nil, err
	}
	f.loaded, f.stamps = m, stamps
	return m, nil
}

// commonName is that of the client's certificate, "" where there is none.
func (f *tlsFiles) commonName() string {
	m, err := f.get()
	if err != nil || m.cert == nil || m.cert.Leaf == nil {
		return ""
	}
	return m.cert.Leaf.Subject.CommonName
}

// replacedSince reports whether the files that the attempt's handshake used, or could not load, are others by now.
func (f *tlsFiles) replacedSince(a *attempt) bool {
	used := a.usedFiles()
	_, failure, _ := a.result()
	_, unloaded := errors.AsType[*HintError](failure)
	if used == nil && !unloaded {
		return false // it did not come so far
	}
	now, err := f.get()
	if err != nil {
		return !unloaded
	}
	return now != used
}

// config builds the client's side of one handshake.
func (f *tlsFiles) config(a *attempt) (*tls.Config, error) {
	m, err := f.get()
	if err != nil {
		return nil, err
	}
	a.setFiles(m)
	name := f.cfg.ServerName
	if name == "" {
		name = a.ep.name
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
		RootCAs:            m.roots,
		ServerName:         name,
		InsecureSkipVerify: f.cfg.InsecureSkipVerify,
		// Offered whatever authorities the server names: a refusal then says what is wrong with the certificate,
		// where holding it back would only be told as "certificate required".
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			a.setAsked()
			if m.cert == nil {
				return new(tls.Certificate), nil
			}
			return m.cert, nil
		},
	}, nil
}

func loadTLS(cfg TLS) (*tlsMaterial, error) {
	m := &tlsMaterial{}
	if cfg.CACert != "" {
		roots, err := loadRoots(cfg.CACert)
		if err != nil {
			return nil, err
		}
		m.roots = roots
	}
	switch {
	case cfg.Cert == "" && cfg.Key == "":
		return m, nil
	case cfg.Key == "":
		return nil, pairError(cfg.Cert, errors.New("the certificate comes without its private key"), "give the key too: --key FILE")
	case cfg.Cert == "":
		return nil, pairError(cfg.Key, errors.New("the private key comes without its certificate"), "give the certificate too: --cert FILE")
	}
	cert, err := loadPair(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, err
	}
	m.cert = cert
	return m, nil
}

func pairError(file string, err error, hint string) error {
	return &HintError{Code: CodeCertWithoutKey, Class: ClassUsage, Op: "load", Member: file, Err: err, Hint: hint}
}

// readPEM reads a bounded file and tells the ways it can fail apart.
func readPEM(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxPEMBytes+1))
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case len(data) > maxPEMBytes:
		return nil, malformed(path, fmt.Errorf("larger than %d bytes: no certificate or key", maxPEMBytes))
	case len(bytes.TrimSpace(data)) == 0:
		return nil, malformed(path, errors.New("the file is empty"))
	}
	return data, nil
}

func unreadable(path string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	hint := "ls -l " + path
	if errors.Is(err, fs.ErrPermission) {
		hint = "run it as a user who may read the file (often root: sudo), or point to a copy"
	}
	return &HintError{Code: CodeFileUnreadable, Class: ClassUsage, Op: "read", Member: path, Err: err, Hint: hint}
}

func malformed(path string, err error) error {
	return &HintError{
		Code: CodeFileMalformed, Class: ClassUsage, Op: "read", Member: path, Err: err,
		Hint: "openssl x509 -noout -text -in " + path,
	}
}

// blockTypes lists what a PEM file holds, for the message about what it should have held.
func blockTypes(data []byte) []string {
	var types []string
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return types
		}
		types = append(types, block.Type)
	}
}

func loadRoots(path string) (*x509.CertPool, error) {
	data, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, malformed(path, fmt.Errorf("it holds %s, and no certificate authority", describeBlocks(data)))
	}
	return pool, nil
}

func describeBlocks(data []byte) string {
	types := blockTypes(data)
	if len(types) == 0 {
		return "no PEM text at all"
	}
	return strings.Join(types, ", ")
}

func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := readPEM(certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readPEM(keyFile)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err == nil {
		return &cert, nil
	}
	leaf, leafErr := firstCertificate(certPEM)
	if leafErr != nil {
		return nil, malformed(certFile, leafErr)
	}
	if keyErr := checkKey(keyPEM); keyErr != nil {
		return nil, malformedKey(keyFile, keyErr)
	}
	return nil, &HintError{
		Code: CodeKeyMismatch, Class: ClassUsage, Op: "load", Member: certFile,
		Err:  fmt.Errorf("the certificate (%s, until %s) does not belong to the private key %s", leaf.Subject, leaf.NotAfter.Format(time.DateOnly), keyFile),
		Hint: fmt.Sprintf("compare: openssl x509 -noout -pubkey -in %s; openssl pkey -pubout -in %s", certFile, keyFile),
	}
}

func malformedKey(path string, err error) error {
	return &HintError{
		Code: CodeFileMalformed, Class: ClassUsage, Op: "read", Member: path, Err: err,
		Hint: "openssl pkey -noout -text -in " + path,
	}
}

func firstCertificate(data []byte) (*x509.Certificate, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("it holds %s, and no certificate", describeBlocks(data))
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}

func checkKey(data []byte) error {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return fmt.Errorf("it holds %s, and no private key", describeBlocks(data))
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return errors.New("the private key is encrypted with a passphrase, which etcd's clients cannot use")
		case block.Type == "PRIVATE KEY" || len(block.Type) > 12 && block.Type[len(block.Type)-12:] == " PRIVATE KEY":
			return parseKey(block.Bytes)
		}
	}
}

func parseKey(der []byte) error {
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return nil
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return nil
	}
	_, err := x509.ParsePKCS8PrivateKey(der)
	return err
}
