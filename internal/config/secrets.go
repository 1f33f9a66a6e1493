package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// maxPasswordBytes bounds a password file.
const maxPasswordBytes = 4 << 10

// SecretInput is where passwords can be asked for.
type SecretInput struct {
	Stdin  io.Reader                             // for the password file "-"
	Prompt func(question string) (string, error) // asks without echo; nil when there is nobody to ask
}

// passwordSource says where the password of the user is; it is decided with the other settings and read when needed.
type passwordSource struct {
	file string // "" when the password is known, or to be asked for
	from Origin
	ask  bool
}

// credentials finds user, password and token, as far as that needs no reading.
func (l *layers) credentials() (ops.Auth, passwordSource) {
	auth := ops.Auth{User: l.text(keyUser), Token: l.text(keyToken)}
	if auth.User != "" && auth.Token != "" { // of one rank: ops refuses both together
		switch {
		case l.rank(keyUser) > l.rank(keyToken):
			auth.Token = ""
		case l.rank(keyUser) < l.rank(keyToken):
			return ops.Auth{Token: auth.Token}, passwordSource{}
		}
	}
	if auth.User == "" && auth.Token != "" {
		return auth, passwordSource{}
	}
	file := l.origin(keyPasswordFile)
	// A context's password is that of the context's user and of no other.
	hasFile := l.text(keyPasswordFile) != "" && (file.Kind != OriginContext || l.origin(keyUser) == file)
	hasPassword := l.v.GetString(keyPassword) != ""
	beside := 0
	if hasFile {
		beside = l.rank(keyPasswordFile)
	}
	if hasPassword {
		beside = max(beside, l.rank(keyPassword))
	}
	auth.User, auth.Password = l.splitUser(auth.User, beside)
	switch {
	case auth.Password != "":
		return auth, passwordSource{}
	case hasFile && (!hasPassword || l.rank(keyPasswordFile) >= l.rank(keyPassword)):
		return auth, passwordSource{file: l.text(keyPasswordFile), from: file}
	case hasPassword:
		auth.Password = l.v.GetString(keyPassword)
		return auth, passwordSource{}
	}
	return auth, passwordSource{ask: auth.User != ""}
}

// splitUser takes NAME:PASSWORD apart; beside is the rank of a password given by other means. The stronger password
// counts. Where both are of one rank the whole is the name, as for etcdctl.
func (l *layers) splitUser(user string, beside int) (name, password string) {
	before, after, ok := strings.Cut(user, ":")
	switch rank := l.rank(keyUser); {
	case !ok || rank == beside:
		return user, ""
	case rank > beside:
		return before, after
	}
	return before, ""
}

// visiblePassword reports whether a secret was typed as an argument, where ps shows it to everybody.
func (l *layers) visiblePassword() string {
	switch {
	case l.flag(keyPassword) != nil:
		return "--" + keyPassword
	case l.flag(keyToken) != nil:
		return "--" + keyToken
	case l.flag(keyUser) != nil && strings.Contains(l.text(keyUser), ":"):
		return "--" + keyUser + " NAME:PASSWORD"
	}
	return ""
}

// ReadSecrets completes r.Config with the password: from its file, from standard input, or from the person at the
// terminal. Errors are *ops.HintError.
func (r *Resolved) ReadSecrets(in SecretInput) error {
	switch {
	case r.password.file != "":
		password, err := readPassword(r.password.file, in.Stdin)
		if err != nil {
			return &ops.HintError{
				Code: CodePasswordFile, Class: ops.ClassUsage, Op: "read password of " + r.Config.Auth.User + " from", Member: r.password.file, Err: err,
				Hint: "put the password and nothing else into the file (named by " + r.password.from.String() + ")",
			}
		}
		if notice := openToAll(r.password.file); notice != "" {
			r.Advice = append(r.Advice, notice)
		}
		r.Config.Auth.Password = password
	case r.password.ask && in.Prompt == nil:
		return &ops.HintError{
			Code: CodeNoPrompt, Class: ops.ClassUsage, Op: "authenticate as", Member: r.Config.Auth.User,
			Err: errors.New("no password was given, and there is no terminal to ask for it"), Hint: "--password-file FILE (- reads standard input)",
		}
	case r.password.ask:
		password, err := in.Prompt(fmt.Sprintf("Password of %s: ", r.Config.Auth.User))
		if err != nil {
			return fmt.Errorf("ask for the password: %w", err)
		}
		r.Config.Auth.Password = password
	}
	return nil
}

// readPassword reads a password that is alone in its file; the newline that editors add is not part of it.
func readPassword(file string, stdin io.Reader) (string, error) {
	var data []byte
	var err error
	if file == "-" {
		if stdin == nil {
			stdin = strings.NewReader("")
		}
		data, err = io.ReadAll(io.LimitReader(stdin, maxPasswordBytes+1))
	} else {
		data, err = readBounded(file, maxPasswordBytes)
	}
	switch {
	case err != nil:
		return "", err
	case len(data) > maxPasswordBytes:
		return "", errTooLarge
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	switch {
	case len(data) == 0:
		return "", errors.New("it is empty")
	case bytes.ContainsAny(data, "\n\x00"):
		return "", errors.New("more than one line")
	}
	return string(data), nil
}

// openToAll warns of a password file that every user of the machine can read. It is no error: files that Kubernetes
// mounts from a Secret are like this.
func openToAll(file string) string {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return ""
	}
	return fmt.Sprintf("warning: every user of this machine can read the password in %s: chmod 600 %s", file, file)
}
