package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestNotWritable looks at directories of somebody else's as an unprivileged user would.
func TestNotWritable(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "etcdops-test") //nolint:usetesting // others must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	for dir, mode := range map[string]os.FileMode{base: 0o755, "closed": 0o555, "open": 0o777, "open/member": 0o777, "open/member/snap": 0o777} {
		if dir != base {
			dir = filepath.Join(base, dir)
			if err := os.MkdirAll(dir, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(base, "open/member/snap"), "db", "x")
	for dir, file := range map[string]string{
		"closed": "closed", "closed/deeper/data": "closed", // the nearest directory that exists counts
		"open": "open/member/snap/db",
	} {
		m := layout(t, clustertest.Options{}).Members[0]
		s := settingsOf(t, m, "--data-dir="+filepath.Join(base, dir))
		asNobody(t, func() {
			mustRefuse(t, s, refused{code: "ETO-3030", class: ops.ClassFailure, says: filepath.Join(base, file) + ": permission denied"})
		})
	}
}

// asNobody runs f with the rights of an unprivileged user when the test runs as root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	if err := syscall.Setresuid(-1, nobody, -1); err != nil {
		t.Skipf("cannot drop rights: %v", err)
	}
	defer func() {
		if err := syscall.Setresuid(-1, 0, -1); err != nil {
			t.Errorf("take rights back: %v", err)
		}
	}()
	f()
}

// TestDiskFull puts a file that is always full in the place of a running member's log: the next write gets the real
// error from the kernel. etcd would end the process; ours ends the member, and says why.
func TestDiskFull(t *testing.T) {
	c := layout(t, clustertest.Options{})
	logFile := filepath.Join(t.TempDir(), "log")
	srv, err := Start(t.Context(), settingsOf(t, c.Members[0], "--log-outputs="+logFile, "--log-format=console"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	waitReady(t, srv)
	for deadline := time.Now().Add(limit); ; { // what a new cluster writes by itself is over when it has a version
		if _, answer := call(t, client(t, c), "GET", c.Members[0].ClientURL+"/version", ""); strings.Contains(answer, `"etcdcluster":"3.7`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no cluster version")
		}
	}
	call(t, client(t, c), "POST", c.Members[0].ClientURL+"/v3/kv/put", `{"key":"a2V5","value":"dmFsdWU="}`)
	full, err := unix.Open("/dev/full", unix.O_RDWR, 0)
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	replaced := 0
	for _, entry := range openFiles(t) {
		if strings.HasPrefix(entry.target, c.Members[0].DataDir) && strings.HasSuffix(entry.target, ".wal") {
			if err := unix.Dup3(full, entry.fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			replaced++
		}
	}
	if replaced == 0 {
		t.Fatal("the member has no log open")
	}
	acknowledged := make(chan string, 1)
	go func() {
		request := strings.NewReader(`{"key":"a2V5","value":"dmFsdWU="}`)
		response, err := client(t, c).Post(c.Members[0].ClientURL+"/v3/kv/put", "application/json", request) //nolint:noctx // outlives the test's context
		if err != nil {
			return
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			acknowledged <- response.Status
		}
	}()
	select {
	case <-srv.Done():
	case <-time.After(limit):
		t.Fatal("the member goes on")
	}
	select {
	case status := <-acknowledged:
		t.Errorf("a write that is on no disk was acknowledged: %s", status)
	default:
	}
	if hint, ok := asHint(srv.Wait()); !ok || hint.Code != "ETO-3051" || hint.Class != ops.ClassFailure || !strings.Contains(hint.Hint, "df -h") {
		t.Errorf("got %v", srv.Wait())
	}
	// The log is the one that upstream makes of its settings.
	if text, err := os.ReadFile(logFile); err != nil || !strings.Contains(string(text), "\tfatal\t") || !strings.Contains(string(text), "no space left on device") {
		t.Errorf("log: %v\n%s", err, text)
	}
}

type openFile struct {
	fd     int
	target string
}

// openFiles lists the open files of this process.
func openFiles(t *testing.T) []openFile {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	var list []openFile
	for _, entry := range entries {
		var fd int
		if _, err := fmt.Sscan(entry.Name(), &fd); err != nil {
			continue
		}
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			list = append(list, openFile{fd, target})
		}
	}
	return list
}

func TestCgroupLimit(t *testing.T) {
	const machine = 8 << 30
	for name, c := range map[string]struct {
		files      map[string]string
		membership string
		want       uint64
	}{
		"none":              {nil, "0::/\n", machine},
		"version 2":         {map[string]string{"a/b/memory.max": "1073741824\n"}, "0::/a/b\n", 1 << 30},
		"limit of a parent": {map[string]string{"a/b/memory.max": "max\n", "a/memory.max": "2147483648\n"}, "0::/a/b\n", 2 << 30},
		"in a container":    {map[string]string{"memory.max": "536870912\n"}, "0::/kubepods/pod1/c1\n", 512 << 20},
		"version 1":         {map[string]string{"memory/a/memory.limit_in_bytes": "1073741824\n"}, "3:cpu:/a\n4:memory:/a\n", 1 << 30},
		"no limit":          {map[string]string{"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, "4:memory:/a\n", machine},
		"nonsense":          {map[string]string{"a/memory.max": "lots\n"}, "0::/a\nx\n", machine},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range c.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := cgroupLimit(root, c.membership, machine); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
