package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"github.com/etcdops/etcdops/ops"
)

// Encryption says for whom backups are encrypted. The zero value is for nobody: they are not.
type Encryption struct {
	recipients []age.Recipient
	names      []string
}

// Enabled says whether backups are encrypted.
func (e Encryption) Enabled() bool { return len(e.recipients) > 0 }

// Identities open encrypted backups. The zero value opens none.
type Identities struct{ list []age.Identity }

// passphraseName stands in manifests for a passphrase.
const passphraseName = "passphrase"

// scryptWorkFactor makes guessing a passphrase slow: 2^16 blocks take 64 MB and a fifth of a second. age's own default
// takes 256 MB, which is more than all of a backup may.
const scryptWorkFactor = 16

// maxKeyFile is the largest key file read, in bytes.
const maxKeyFile = 1 << 20

// ReadRecipients reads a file of age recipients (public keys, one a line).
func ReadRecipients(path string) (Encryption, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return Encryption{}, err
	}
	list, err := age.ParseRecipients(bytes.NewReader(data))
	if err != nil {
		return Encryption{}, keyError(path, err, "a file of recipients has public keys, one a line: age1...")
	}
	e := Encryption{recipients: list}
	for _, r := range list {
		name := fmt.Sprintf("%T", r)
		if s, ok := r.(fmt.Stringer); ok {
			name = s.String()
		}
		e.names = append(e.names, name)
	}
	return e, nil
}

// ReadIdentities reads a file of age identities (secret keys, one a line).
func ReadIdentities(path string) (Identities, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return Identities{}, err
	}
	list, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		// The cause may quote the file, which is a secret.
		return Identities{}, keyError(path, errors.New("it holds no age identity"), "a file of identities has secret keys, as age-keygen writes them")
	}
	return Identities{list}, nil
}

// ReadPassphrase reads a file whose first line is a passphrase, which both encrypts and decrypts.
func ReadPassphrase(path string) (Encryption, Identities, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return Encryption{}, Identities{}, err
	}
	phrase, _, _ := strings.Cut(string(data), "\n")
	phrase = strings.TrimRight(phrase, "\r")
	recipient, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return Encryption{}, Identities{}, keyError(path, errors.New("its first line is empty"), "write the passphrase into its first line")
	}
	recipient.SetWorkFactor(scryptWorkFactor)
	identity, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return Encryption{}, Identities{}, keyError(path, err, "")
	}
	return Encryption{[]age.Recipient{recipient}, []string{passphraseName}}, Identities{[]age.Identity{identity}}, nil
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, keyError(path, errors.Unwrap(err), "check the path and its permissions")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, keyError(path, err, "")
	}
	return data, nil
}

func keyError(path string, err error, hint string) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("there is no such file")
	}
	return &ops.HintError{Code: CodeKeyFile, Class: ops.ClassUsage, Op: "read key file", Member: path, Err: err, Hint: hint}
}
