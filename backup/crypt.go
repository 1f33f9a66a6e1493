package backup

import (
	"errors"
	"io"

	"filippo.io/age"
)

// ErrNoKey says that data is encrypted and no key that was given opens it.
var ErrNoKey = errors.New("it is encrypted, and no key that was given opens it")

// Name is what documents call the encryption: "age", or nothing.
func (e Encryption) Name() string {
	if e.Enabled() {
		return encryptionAge
	}
	return ""
}

// Seal encrypts what is written to the writer that it returns, which must be closed. Without encryption it is passed on.
func (e Encryption) Seal(w io.Writer) (io.WriteCloser, error) {
	if !e.Enabled() {
		return passed{w}, nil
	}
	return age.Encrypt(w, e.recipients...)
}

// Open decrypts r. The error is ErrNoKey where no key fits.
func (i Identities) Open(r io.Reader) (io.Reader, error) {
	if len(i.list) == 0 {
		return nil, ErrNoKey
	}
	opened, err := age.Decrypt(r, i.list...)
	if _, no := errors.AsType[*age.NoIdentityMatchError](err); no {
		return nil, ErrNoKey // age's own text lists every identity tried
	}
	return opened, err
}

// passed is a writer whose end nobody needs to know.
type passed struct{ io.Writer }

// Close implements io.Closer.
func (passed) Close() error { return nil }
