package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// running is a program whose output is read piece by piece.
type running struct {
	cmd *exec.Cmd
	out io.Reader
	err *bytes.Buffer
}

func start(tb testing.TB, p program, args ...string) *running {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	tb.Cleanup(cancel)
	r := &running{cmd: p.command(ctx, args...), err: &bytes.Buffer{}}
	r.cmd.Stderr = r.err
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	r.out = out
	if err := r.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return r
}

// read reads n bytes.
func (r *running) read(tb testing.TB, n int) {
	tb.Helper()
	if _, err := io.ReadFull(r.out, make([]byte, n)); err != nil {
		tb.Fatalf("read %d bytes of output: %v\n%s", n, err, r.err)
	}
}

// end reads the rest and returns how the program ended.
func (r *running) end(tb testing.TB) *os.ProcessState {
	tb.Helper()
	if _, err := io.Copy(io.Discard, r.out); err != nil {
		tb.Error(err)
	}
	_ = r.cmd.Wait()
	return r.cmd.ProcessState
}

// putMany puts n keys of 1000 bytes under /k/.
func putMany(tb testing.TB, client *clientv3.Client, n int) {
	tb.Helper()
	value := strings.Repeat("v", 1000)
	for i := 0; i < n; i += 100 {
		var puts []clientv3.Op
		for j := i; j < i+100; j++ {
			puts = append(puts, clientv3.OpPut(fmt.Sprintf("/k/%05d", j), value))
		}
		if _, err := client.Txn(tb.Context()).Then(puts...).Commit(); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestGetThatBreaksOffSaysSo ends a member, or the program, while a long answer is being printed.
func TestGetThatBreaksOffSaysSo(t *testing.T) {
	t.Parallel()
	cluster := clustertest.New(t, clustertest.Options{})
	member := cluster.Members[0]
	putMany(t, cluster.Client(t), 5000)
	etcdops := etcdopsProgram(t, "etcdops")
	for _, tc := range []struct {
		name   string
		limit  string
		do     func(*running)
		undo   func()
		code   int
		saying string
	}{
		{"member silent", "1s", func(*running) { member.Pause(t) }, func() { member.Resume(t) }, 5, "no data came for 1s"},
		{"interrupt", "20s", func(r *running) { _ = r.cmd.Process.Signal(syscall.SIGINT) }, func() {}, 130, "incomplete"},
		{"member gone", "20s", func(*running) { member.Kill(t) }, func() {}, 5, "connection refused"},
	} {
		r := start(t, etcdops, "--endpoints", member.ClientURL, "--command-timeout", tc.limit, "get", "/k", "--prefix")
		r.read(t, 5000)
		tc.do(r)
		state := r.end(t)
		tc.undo()
		told := r.err.String()
		if state.ExitCode() != tc.code || !strings.Contains(told, tc.saying) || !strings.Contains(told, "incomplete, it broke off after") {
			t.Errorf("%s: exit %d, error %q; want exit %d and %q", tc.name, state.ExitCode(), told, tc.code, tc.saying)
		}
	}
}

// TestSignalsEndUpstreamsCode holds that commands which wait for ever end as etcdctl's do.
func TestSignalsEndUpstreamsCode(t *testing.T) {
	t.Parallel()
	cluster := clustertest.New(t, clustertest.Options{})
	client := cluster.Client(t)
	put, err := client.Put(t.Context(), "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	watch := start(t, etcdopsProgram(t, "etcdops"), "--endpoints", cluster.Members[0].ClientURL, "watch", "k", "--rev", strconv.FormatInt(put.Header.Revision, 10))
	watch.read(t, len("PUT\nk\nv\n"))
	_ = watch.cmd.Process.Signal(syscall.SIGINT)
	status, ok := watch.end(t).Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("watch ended with %v, want the signal", watch.cmd.ProcessState)
	}

	// A lock is given back.
	lock := start(t, etcdopsProgram(t, "etcdops"), "--endpoints", cluster.Members[0].ClientURL, "lock", "name")
	lock.read(t, len("name/"))
	_ = lock.cmd.Process.Signal(syscall.SIGTERM)
	lock.end(t)
	left, err := client.Get(t.Context(), "name/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || left.Count != 0 {
		t.Errorf("after SIGTERM %d locks are held, %v", left.Count, err)
	}
}

// TestGetFromOldServer compares the pages of an old server with etcdctl's answer.
func TestGetFromOldServer(t *testing.T) {
	t.Parallel()
	cluster := clustertest.New(t, clustertest.Options{Kind: clustertest.KindEtcd34})
	putMany(t, cluster.Client(t), 3000)
	etcdctl, etcdops := buildUpstream(t, "etcdctl", "go.etcd.io/etcd/etcdctl/v3"), etcdopsProgram(t, "etcdops")
	for _, line := range []string{
		"get /k --prefix", "get /k --prefix --keys-only -w json", "get /k/01 --from-key -w fields", "get /k/0 /k/00300 -w protobuf", "get /k --prefix --limit 1500 -w json",
	} {
		args := append([]string{"--endpoints", cluster.Members[0].ClientURL}, strings.Fields(line)...)
		want, got := etcdctl.run(t, "", args...), etcdops.run(t, "", args...)
		if got != want {
			t.Errorf("%s: %d bytes and exit %d (%s), want %d bytes and exit %d", line, len(got.out), got.code, got.err, len(want.out), want.code)
		}
	}
}

// TestOwnExitCodes are the codes before etcdctl's code runs.
func TestOwnExitCodes(t *testing.T) {
	t.Parallel()
	cluster := clustertest.New(t, clustertest.Options{})
	etcdops := etcdopsProgram(t, "etcdops", "ETCDOPS_ENDPOINTS="+cluster.Members[0].ClientURL)
	for line, want := range map[string]int{
		"put k v -w table":              2,
		"put --nonsense":                2,
		"nonsense":                      2,
		"member nonsense":               2,
		"--tls-server-name x put k v":   2,
		"--command-timeout soon get k":  2,
		"del / --prefix":                0, // no key
		"del k k9":                      4,
		"put":                           128,
		"get k --sort-by x":             4,
		"get k --rev 99":                1,
		"etcd --nonsense":               2,
		"ctl get":                       128,
		"--endpoints 127.0.0.1:1 get k": 5,
	} {
		if line == "del k k9" {
			if _, err := cluster.Client(t).Put(t.Context(), "k1", ""); err != nil {
				t.Fatal(err)
			}
		}
		if r := etcdops.run(t, "", strings.Fields(line)...); r.code != want {
			t.Errorf("%s: exit %d, want %d\n%s", line, r.code, want, r.err)
		}
	}
}

// TestCommandsThatWait are those that go on until they are stopped.
func TestCommandsThatWait(t *testing.T) {
	t.Parallel()
	here, there := clustertest.New(t, clustertest.Options{}), clustertest.New(t, clustertest.Options{})
	if _, err := here.Client(t).Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	etcdops := etcdopsProgram(t, "etcdops", "ETCDOPS_ENDPOINTS="+here.Members[0].ClientURL)
	for line, want := range map[string]string{
		`watch k --rev 2 -- sh -c echo>&2;echo~$ETCD_WATCH_KEY=$ETCD_WATCH_VALUE`: "PUT\nk\nv\n\"k\"=\"v\"\n",
		"watch k --rev 2 -w json": `{"Header":{`,
		"elect name me":           "name/",
		"lock other":              "other/",
	} {
		args := strings.Fields(line)
		args[len(args)-1] = strings.ReplaceAll(args[len(args)-1], "~", " ")
		r := start(t, etcdops, args...)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r.out, got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v %s, want %q", line, got, err, r.err, want)
		}
		_ = r.cmd.Process.Kill()
		r.end(t)
	}

	// A mirror copies what is there, and says nothing.
	watching, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	mirrored := there.Client(t).Watch(watching, "k", clientv3.WithRev(1))
	mirror := start(t, etcdops, "make-mirror", there.Members[0].ClientURL)
	if response := <-mirrored; response.Err() != nil || len(response.Events) != 1 || string(response.Events[0].Kv.Value) != "v" {
		t.Errorf("the mirror has %+v", response)
	}
	_ = mirror.cmd.Process.Signal(syscall.SIGINT)
	mirror.end(t)
}
