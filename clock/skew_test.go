package clock_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/clustertest"
)

const ms = time.Millisecond

// TestLongSkewedMembers audits members whose clocks are wrong by what the test says.
func TestLongSkewedMembers(t *testing.T) {
	t.Parallel()
	clustertest.Long(t)
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true, Skew: []time.Duration{0, 2500 * ms, -700 * ms}})
	opts := clock.Options{TLS: c.ClientTLS(t), Samples: 200}
	set := func(offsets ...time.Duration) {
		t.Helper()
		for i, offset := range offsets {
			c.Members[i].SetSkew(t, offset)
		}
	}

	r := audit(t, c, opts)
	want(t, r, clock.Fail, clock.KindProbing)
	within(t, r, "m2", "m3", 3200*ms, ms)
	within(t, r, "m2", "m1", 2500*ms, ms)
	within(t, r, "m3", "m1", -700*ms, ms)
	if !r.Clocks[0].Reference || !strings.Contains(r.Summary, "m2 and m3 are 3.200s +-") {
		t.Errorf("the middle clock is no reference, or: %s", r.Summary)
	}

	quick := opts
	quick.Sources = []clock.Kind{clock.KindDate}
	r = audit(t, c, quick)
	want(t, r, clock.Fail, clock.KindDate)
	within(t, r, "m2", "m3", 3200*ms, 450*ms)

	set(0, 300*ms, -300*ms)
	want(t, audit(t, c, opts), clock.Pass, clock.KindProbing)
	set(0, 1000*ms, 0)
	r = audit(t, c, opts)
	want(t, r, clock.Inconclusive, clock.KindProbing)
	within(t, r, "m2", "m1", 1000*ms, ms)

	// A clock is set while it is read.
	set(0, 0, 0)
	want(t, audit(t, c, opts), clock.Pass, clock.KindProbing)
	opts.OnSample(func(name string, taken int) {
		if name == "m2" && taken == 20 {
			c.Members[1].SetSkew(t, 3*time.Second)
		}
	})
	r = audit(t, c, opts)
	if r.Verdict != clock.Unstable || r.Clocks[1].State != clock.Jumped {
		t.Errorf("a step of 3 s: %s: %s", r.Verdict, r.Summary)
	}
}

// TestLongSkewedOperator sets the clock of the machine that audits, while it does.
func TestLongSkewedOperator(t *testing.T) {
	t.Parallel()
	clustertest.Long(t)
	c := clustertest.New(t, clustertest.Options{Kinds: []clustertest.Kind{clustertest.KindServe, clustertest.KindServe}, Skew: []time.Duration{0, 400 * ms}})
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.Members[0].PID()))
	if err != nil {
		t.Skip(err)
	}
	offset := filepath.Join(t.TempDir(), "offset")
	write := func(d time.Duration) {
		t.Helper()
		if err := os.WriteFile(offset, fmt.Append(nil, int64(d)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(-17 * time.Minute)
	cmd := exec.CommandContext(t.Context(), program, "clock", "audit", "-w", "json", "--samples", "3000",
		"--no-discover", "--endpoints", c.Members[0].ClientURL)
	cmd.Env = append(append(os.Environ(), clustertest.RunEnv()...), "CLUSTERTEST_SKEW="+offset)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for step := time.Duration(1); err == nil && step < 100000; step++ {
		select {
		case err = <-ended:
			ended = nil
		case <-time.After(30 * ms): // the program looks every 20 ms
			write(step * time.Hour)
			continue
		}
		break
	}
	var r clock.Report
	if jsonErr := json.Unmarshal([]byte(out.String()), &r); err != nil || jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, out.String())
	}
	if time.Duration(r.TookNS) < 60*ms {
		t.Errorf("the audit took %v: the clock was not set meanwhile", time.Duration(r.TookNS))
	}
	if r.Verdict != clock.Pass || len(r.Clocks) != 2 || r.Clocks[0].Local == nil {
		t.Fatalf("%s: %s", r.Verdict, r.Summary)
	}
	within(t, r, "m2", "m1", 400*ms, ms)
	if local := time.Duration(r.Clocks[0].Local.LoNS); local.Abs() < 16*time.Minute { // before the first step it is 17 minutes off, after it hours to the other side
		t.Errorf("m1 is told to be off this clock by %v: it was not shifted at all", local)
	}
	if r.Clocks[0].Kernel == nil {
		t.Error("the kernel's state is missing: the endpoint of serve was not read")
	}
}
