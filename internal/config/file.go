package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.yaml.in/yaml/v3"
)

// maxContextsBytes bounds the file of contexts; a context has a few hundred bytes.
const maxContextsBytes = 1 << 20

// fileVariable names the file of contexts where the default does not suit.
const fileVariable = "ETCDOPS_CONFIG"

// File returns the file of contexts: $ETCDOPS_CONFIG, or etcdops/config.yaml below $XDG_CONFIG_HOME, which is ~/.config
// by default. It is "" when the environment names no place for it.
func File() string {
	if path := os.Getenv(fileVariable); path != "" {
		return path
	}
	// The XDG specification wants relative paths ignored.
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "etcdops", "config.yaml")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "etcdops", "config.yaml")
	}
	return ""
}

// Load reads the file of contexts; one that does not exist holds none. Errors are *ops.HintError with file and line.
func Load(path string) (*Contexts, error) {
	if path == "" {
		return &Contexts{}, nil
	}
	data, err := readBounded(path, maxContextsBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Contexts{}, nil
	case errors.Is(err, errTooLarge):
		return nil, badFile(path, 0, err)
	case err != nil:
		return nil, fileAccess("read contexts", path, err)
	}
	return parseContexts(path, data)
}

// parseContexts reads the content of a file strictly: what it does not know is an error, because a misspelt setting that
// is passed over may connect to the wrong cluster.
func parseContexts(path string, data []byte) (*Contexts, error) {
	var c Contexts
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		line, cause := yamlCause(err)
		return nil, badFile(path, line, cause)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, badFile(path, 0, errors.New("something follows the first document"))
	}
	lines := contextLines(data)
	seen := map[string]bool{}
	for i, ctx := range c.Contexts {
		at := path
		if i < len(lines) {
			at += ":" + strconv.Itoa(lines[i])
		}
		if err := ctx.Check(at); err != nil {
			return nil, err
		}
		if seen[ctx.Name] {
			return nil, badFile(path, lines[i], fmt.Errorf("a second context is named %s", ctx.Name))
		}
		seen[ctx.Name] = true
	}
	if c.Current != "" && !seen[c.Current] {
		return nil, badFile(path, 0, fmt.Errorf("current is %q, and no context has this name", c.Current))
	}
	return &c, nil
}

// yamlCause takes the line out of the decoder's text, its only place, and leaves its first complaint.
func yamlCause(err error) (int, error) {
	text := err.Error()
	var typeErr *yaml.TypeError
	if errors.As(err, &typeErr) && len(typeErr.Errors) > 0 {
		text = typeErr.Errors[0]
	}
	text = strings.TrimPrefix(text, "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits by the expression
		text = text[len(m[0]):]
	}
	if m := regexp.MustCompile(`^field (\S+) not found in type config\.(\w+)$`).FindStringSubmatch(text); m != nil {
		text = "unknown field " + m[1]
	}
	return line, errors.New(text)
}

// contextLines returns the line of each context in the file.
func contextLines(data []byte) []int {
	var doc struct {
		Contexts []yaml.Node `yaml:"contexts"`
	}
	_ = yaml.Unmarshal(data, &doc) // it has been read once; without lines the messages say less, no more
	lines := make([]int, len(doc.Contexts))
	for i := range doc.Contexts {
		lines[i] = doc.Contexts[i].Line
	}
	return lines
}

// Edit changes the file of contexts and returns what it holds then. Whoever else edits it waits: of two additions at once
// neither is lost. An error of edit is returned as it is, and nothing is written.
func Edit(path string, edit func(*Contexts) error) (*Contexts, error) {
	release, err := lockBeside(path)
	if err != nil {
		return nil, fileAccess("lock contexts", path, unwrapPath(err))
	}
	defer release()
	all, err := Load(path)
	if err != nil {
		return nil, err
	}
	if err := edit(all); err != nil {
		return nil, err
	}
	return all, Save(path, all)
}

// lockBeside takes a lock that stands for path: a file of its own, because path is replaced by each writer.
func lockBeside(path string) (release func(), err error) {
	if path == "" {
		return func() {}, nil // Save says what is wrong
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := fileutil.LockFile(filepath.Join(dir, "."+filepath.Base(path)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Close() }, nil // the lock ends with the process at the latest
}

// Save writes the file of contexts, readable by its owner alone. The old content stays until the new one is whole and
// on disk. Comments are not kept.
func Save(path string, c *Contexts) error {
	if path == "" {
		return fileAccess("write contexts", "~/.config/etcdops/config.yaml", errors.New("neither HOME nor XDG_CONFIG_HOME nor ETCDOPS_CONFIG is set"))
	}
	var out bytes.Buffer
	out.WriteString("# Written by etcdops context. It holds no secret, only the files that they are in.\n")
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(c); err != nil {
		return fileAccess("write contexts", path, err)
	}
	if err := writeAtomic(path, out.Bytes()); err != nil {
		return fileAccess("write contexts", path, err)
	}
	return nil
}

// ReplaceFile writes a file, mode 0600, so that after a crash at any moment either the old or the new content is there.
// Directories on the way are made.
func ReplaceFile(path string, data []byte) error { return writeAtomic(path, data) }

// writeAtomic replaces a file so that after a crash at any moment either the old or the new content is there.
func writeAtomic(path string, data []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // write through a link, do not replace it
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) // the first error tells more
		}
	}()
	if _, err = temp.Write(data); err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir survive a power cut. Windows has no such call and orders renames by itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

var errTooLarge = errors.New("the file is too large")

// readBounded reads a whole file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unwrapPath(err)
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, unwrapPath(err)
	}
	if int64(len(data)) > limit {
		return nil, errTooLarge
	}
	return data, nil
}

// unwrapPath drops the path from an error that will be told with it.
func unwrapPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
