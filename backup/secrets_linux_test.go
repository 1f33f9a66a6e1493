package backup_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLongKeysStayOut takes, verifies, drills and restores a backup in S3 that is encrypted for a key, with debug logs: neither the
// secret key of S3 nor the age identity, which the program reads from files, is in what it prints, in the arguments or the environment
// of it and its children, in what they have open, or in what they leave.
func TestLongKeysStayOut(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	program := buildProgram(t)
	l := newLab(t, clustertest.Options{})
	l.put(t, 30, 100_000)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "canary-s3-secret-key"
	keys, home := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"credentials": "[default]\naws_access_key_id = key\naws_secret_access_key = " + secret + "\n",
		"identity":    identity.String() + "\n", "recipients": identity.Recipient().String() + "\n",
	} {
		if err := os.WriteFile(filepath.Join(keys, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &watch{secrets: []string{secret, identity.String()}, home: home}
	repo, spool := s3Place(t, keys), filepath.Join(home, "spool")
	env := append([]string{
		"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(keys, "credentials"),
	}, clustertest.RunEnv()...)
	for _, args := range [][]string{
		{"create", "--rate", "3MB", "--endpoints", l.Endpoints()[0], "--recipients-file", filepath.Join(keys, "recipients"), "--spool", spool},
		{"verify", "--level", "3", "--identity", filepath.Join(keys, "identity"), "--spool", spool},
		{"drill", "--identity", filepath.Join(keys, "identity"), "--spool", spool},
		{"restore", "--single", "--data-dir", filepath.Join(home, "data"), "--identity", filepath.Join(keys, "identity")},
		{"prune", "--keep-last", "1", "--yes"},
	} {
		cmd := exec.CommandContext(clustertest.Context(t, 2*time.Minute), program, append([]string{"backup", "--debug", "--repo", repo}, args...)...)
		cmd.Env = env
		w.run(t, cmd)
	}
	if w.processes < 5 || w.children == 0 || w.files < 5 {
		t.Errorf("looked at %d processes, %d children and %d files only", w.processes, w.children, w.files)
	}
}

// s3Place starts an S3 server.
func s3Place(t *testing.T, dir string) string {
	t.Helper()
	memory := s3mem.New()
	if err := memory.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(gofakes3.New(memory).Server())
	t.Cleanup(s.Close)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return "s3://backups/etcd?region=us-east-1&endpoint=" + s.Listener.Addr().String() + "&ca=" + url.QueryEscape(ca)
}

// watch looks for secrets in all that programs show.
type watch struct {
	secrets                    []string
	home                       string
	processes, children, files int
}

// run runs a program to its end and looks at it meanwhile, and at what it leaves.
func (w *watch) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	var err error
	go func() {
		err = cmd.Wait()
		end()
	}()
	for ended.Err() == nil {
		w.look(t, cmd.Process.Pid)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	w.check(t, "the output of "+cmd.Args[3], out.Bytes())
	_ = filepath.WalkDir(w.home, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			w.file(t, path)
		}
		return nil
	})
}

// look looks at a process, and at those that it started.
func (w *watch) look(t *testing.T, pid int) {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	for _, name := range []string{"cmdline", "environ"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil && len(data) > 0 {
			w.processes++
			w.check(t, name, data)
		}
	}
	open, _ := os.ReadDir(filepath.Join(dir, "fd")) // it may have ended
	for _, fd := range open {
		path := filepath.Join(dir, "fd", fd.Name())
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, w.home) {
			w.file(t, path)
		}
	}
	tasks, _ := filepath.Glob(filepath.Join(dir, "task", "*", "children"))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		for child := range strings.FieldsSeq(string(data)) {
			if n, err := strconv.Atoi(child); err == nil {
				w.children++
				w.look(t, n)
			}
		}
	}
}

// file reads a file, if it still is one.
func (w *watch) file(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	if data, err := os.ReadFile(path); err == nil {
		w.files++
		w.check(t, path, data)
	}
}

// check looks for secrets in one place.
func (w *watch) check(t *testing.T, where string, data []byte) {
	t.Helper()
	for _, secret := range w.secrets {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s holds a secret", where)
		}
	}
}
