package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// envSkew names, to a program built by buildSkewed, the file with its clock's offset in nanoseconds.
const envSkew = "CLUSTERTEST_SKEW"

// skewSamples is how often a member is asked for its time at a look.
const skewSamples = 5

// skewSource is added to package time. Only the wall clock is shifted: timers, leases and Raft run on the other one.
const skewSource = `package time

import (
	"sync/atomic"
	"syscall"
)

// The runtime itself calls Now, on stacks where nothing may block: it only adds what a goroutine has read.
var skewOffset atomic.Int64 // nanoseconds

func init() {
	name, ok := syscall.Getenv("` + envSkew + `")
	if !ok {
		return
	}
	skewLoad(name)
	go func() {
		for {
			Sleep(20 * Millisecond)
			skewLoad(name)
		}
	}()
}

func skewed(sec int64, nsec int32) (int64, int32) {
	total := int64(nsec) + skewOffset.Load()
	sec += total / 1e9
	total %= 1e9
	if total < 0 {
		sec--
		total += 1e9
	}
	return sec, int32(total)
}

func skewLoad(name string) {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	var buf [32]byte
	n, err := syscall.Read(fd, buf[:])
	if err != nil || n <= 0 {
		return
	}
	var offset, sign int64 = 0, 1
	for i, c := range buf[:n] {
		switch {
		case i == 0 && c == '-':
			sign = -1
		case c >= '0' && c <= '9':
			offset = offset*10 + int64(c-'0')
		default:
			return
		}
	}
	skewOffset.Store(sign * offset)
}
`

// SetSkew shifts the member's wall clock by offset against this machine's and waits until the member shows it. The
// cluster must have been made with Options.Skew.
func (m *Member) SetSkew(tb testing.TB, offset time.Duration) {
	tb.Helper()
	if m.cluster.opts.Skew == nil {
		tb.Fatal("clocks can be shifted only in a cluster with Skew in its options")
	}
	if err := writeSkew(m.skewFile(), offset); err != nil {
		tb.Fatalf("set clock of %s: %v", m.Name, err)
	}
	if !m.Running() {
		return
	}
	ctx := Context(tb, readyLimit)
	err := repeat(ctx, func() error {
		seen, within, err := m.Skew(ctx, tb)
		if err == nil && (seen-offset).Abs() > within {
			err = fmt.Errorf("its clock is off by %v", seen)
		}
		return err
	})
	if err != nil {
		tb.Fatalf("set clock of %s to %v: %v", m.Name, offset, err)
	}
}

// Skew asks the member for its time and returns how far its wall clock is off, give or take within: the narrowest of some
// answers, each of which was made between the question and its arrival.
func (m *Member) Skew(ctx context.Context, tb testing.TB) (offset, within time.Duration, err error) {
	tb.Helper()
	client := m.httpClient(tb)
	defer client.CloseIdleConnections()
	url := m.cluster.scheme() + "://" + m.listenPeer + "/raft/probing"
	within = requestLimit
	for range skewSamples {
		var answer struct{ Now time.Time }
		asked := time.Now()
		if err := getJSON(ctx, client, url, &answer); err != nil {
			return 0, 0, err
		}
		half := time.Since(asked) / 2
		if half < within {
			offset, within = answer.Now.Sub(asked.Add(half)), half
		}
	}
	return offset, within, nil
}

func (m *Member) skewFile() string { return m.LogFile + ".skew" }

// writeSkew puts the offset in the place of the old one at once: the member may read at any time.
func writeSkew(file string, offset time.Duration) error {
	if err := os.WriteFile(file+".new", []byte(strconv.FormatInt(int64(offset), 10)), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// buildSkewed builds a main package whose time.Now reads the file that envSkew names. The first build compiles the whole
// standard library again; the go command keeps that.
func buildSkewed(tb testing.TB, name, pkg string) string {
	tb.Helper()
	return build(tb, name+"-skewed", pkg, "-overlay="+skewOverlay(tb))
}

// skewOverlay writes the patched package time and returns the file for go build -overlay.
func skewOverlay(tb testing.TB) string {
	tb.Helper()
	original := filepath.Join(goEnv(tb, "GOROOT"), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		tb.Fatalf("patch the clock: %v", err)
	}
	const read = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	patched := strings.Replace(string(source), read, read+"\tsec, nsec = skewed(sec, nsec)\n", 1)
	if patched == string(source) {
		tb.Fatalf("patch the clock: %s has another time.Now than expected", original)
	}
	dir := tb.TempDir()
	files := map[string]string{"time.go": patched, "skew.go": skewSource}
	replace := map[string]string{}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatalf("patch the clock: %v", err)
		}
		replace[filepath.Join(filepath.Dir(original), name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		tb.Fatalf("patch the clock: %v", err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		tb.Fatalf("patch the clock: %v", err)
	}
	return file
}
