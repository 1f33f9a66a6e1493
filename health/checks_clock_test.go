package health_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// read makes one reading of a clock that is off by offset, known to the width of its round trip.
func read(id ops.MemberID, offset, width time.Duration) clock.Reading {
	s := clock.Sample{ReceivedNS: int64(width), FirstNS: int64(offset), LastNS: int64(offset)}
	return clock.Reading{
		ID: id.String(), Name: "as read", Series: []clock.Series{{Source: clock.KindProbing, URL: "http://x", Samples: []clock.Sample{s}}},
	}
}

// TestClockSkew judges readings of three members, of which the third is as each case says.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	const us, ms = time.Microsecond, time.Millisecond
	missing := clock.Reading{ID: "a03", Failures: []clock.Failure{{Source: clock.KindProbing, URL: "http://x", Cause: "connection refused"}}}
	stepped := read(0xa03, 0, us)
	stepped.Series[0].Samples = append(stepped.Series[0].Samples, read(0xa03, time.Minute, us).Series[0].Samples...)
	for name, tt := range map[string]struct {
		third    clock.Reading
		limits   health.Limits
		severity health.Severity
		says     string
	}{
		"agree":          {read(0xa03, 0, us), health.Limits{}, health.SeverityOK, ""},
		"near":           {read(0xa03, 500*ms, us), health.Limits{}, health.SeverityWarning, "0.500s +-2us apart"},
		"beyond":         {read(0xa03, -1200*ms, us), health.Limits{}, health.SeverityCritical, "1.200s +-2us apart"},
		"within, coarse": {read(0xa03, 0, 900*ms), health.Limits{}, health.SeverityUnknown, "known too coarsely: less than 0.9"},
		"beyond, coarse": {read(0xa03, 3000*ms, 900*ms), health.Limits{}, health.SeverityCritical, "apart"},
		"other limits":   {read(0xa03, 50*ms, us), health.Limits{Warn: 0.01, Crit: 0.04}, health.SeverityCritical, "50.00ms +-2us apart"},
		"missing":        {missing, health.Limits{}, health.SeverityUnknown, "its clock was not read: http://x by probing: connection refused"},
		"set meanwhile":  {stepped, health.Limits{}, health.SeverityWarning, "was set while it was read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := describe(t, "m1\nm2\nm3")
			f.Depth = health.DepthNormal
			f.Clock = &clock.Readings{Clocks: []clock.Reading{read(0xa01, 0, us), read(0xa02, 100*us, us), tt.third}}
			text, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			var again health.Facts
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatal(err)
			}
			p := health.Policy{Only: []string{"clock.skew"}}
			if tt.limits != (health.Limits{}) {
				p.Limits = map[string]health.Limits{"clock.skew": tt.limits}
			}
			r := health.Evaluate(again, p)
			if diff := cmp.Diff(health.Evaluate(f, p), r); diff != "" {
				t.Errorf("facts out of JSON are judged otherwise:\n%s", diff)
			}
			if got := checkOf(t, r, "clock.skew").Severity; got != tt.severity {
				t.Errorf("judged %s, want %s: %+v", got, tt.severity, r.Findings)
			}
			said := slices.ContainsFunc(r.Findings, func(f health.Finding) bool { return strings.Contains(f.Message, tt.says) })
			if tt.says != "" && !said {
				t.Errorf("nothing says %q: %+v", tt.says, r.Findings)
			}
		})
	}
}

// TestClockUnread judges facts without readings.
func TestClockUnread(t *testing.T) {
	t.Parallel()
	f := describe(t, "m1\nm2\nm3")
	f.Depth = health.DepthNormal
	r := health.Evaluate(f, health.Policy{})
	for _, id := range []string{"clock.skew", "clock.ntp"} {
		if got := checkOf(t, r, id).Severity; got != health.SeverityUnknown {
			t.Errorf("%s is %s though nobody read a clock", id, got)
		}
	}
}

// TestClockKernel judges what kernels say: of members that serve runs, and of those on this machine.
func TestClockKernel(t *testing.T) {
	t.Parallel()
	kept := clock.Kernel{Synchronised: true, OffsetNS: int64(time.Millisecond), MaxErrorNS: int64(time.Second)}
	off, alone, fresh := kept, kept, kept
	off.OffsetNS = -int64(80 * time.Millisecond)
	alone.Synchronised, alone.MaxErrorNS = false, int64(16*time.Second)
	fresh.Synchronised = false
	for name, tt := range map[string]struct {
		kernel   clock.Kernel
		severity health.Severity
	}{
		"kept": {kept, health.SeverityOK}, "off": {off, health.SeverityWarning},
		"alone": {alone, health.SeverityWarning}, "just started": {fresh, health.SeverityOK},
	} {
		serve := describe(t, "m1")
		serve.Depth = health.DepthNormal
		reading := read(0xa01, 0, time.Microsecond)
		reading.Kernel = &tt.kernel
		serve.Clock = &clock.Readings{Clocks: []clock.Reading{reading}}
		local := describe(t, "m1")
		local.Depth, local.Kernel = health.DepthNormal, &tt.kernel
		local.Local = []health.LocalMember{{Name: "m1", ClientURLs: []string{"https://m1:2379"}}}
		scraped := describe(t, "m1")
		scraped.Depth = health.DepthNormal
		truth := map[bool]float64{true: 1}
		scraped.Endpoints[0].Metrics = &health.MetricsAnswer{Metrics: health.Metrics{
			{Name: "etcdops_clock_kernel_max_error_seconds", Value: float64(tt.kernel.MaxErrorNS) / 1e9},
			{Name: "etcdops_clock_kernel_offset_seconds", Value: float64(tt.kernel.OffsetNS) / 1e9},
			{Name: "etcdops_clock_kernel_synchronised", Value: truth[tt.kernel.Synchronised]},
		}}
		for source, f := range map[string]health.Facts{"serve": serve, "local": local, "metrics": scraped} {
			r := health.Evaluate(f, health.Policy{})
			if got := checkOf(t, r, "clock.ntp").Severity; got != tt.severity {
				t.Errorf("%s by %s: %s, want %s", name, source, got, tt.severity)
			}
		}
	}
}

// TestClockOfMembers reads the clocks of real members beside all else, with and without quorum, and not when fast.
func TestClockOfMembers(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true})
	cfg := ops.Config{Endpoints: c.Endpoints()[:1], TLS: tlsOf(c)}
	see := func(depth health.Depth) health.Report {
		t.Helper()
		facts, err := health.Collect(clustertest.Context(t, limit), cfg, health.Options{Bound: 10 * time.Second, Depth: depth})
		if err != nil {
			t.Fatal(err)
		}
		return health.Evaluate(facts, health.Policy{})
	}
	r := see(health.DepthNormal)
	if got := checkOf(t, r, "clock.skew"); got.Severity != health.SeverityOK {
		t.Errorf("clock.skew is %s: %+v", got.Severity, r.Findings)
	}
	for _, m := range r.Members {
		if m.Clock == nil || m.Clock.Source != clock.KindProbing {
			t.Errorf("the clock of %s: %+v", m.Name, m.Clock)
		}
	}
	c.Members[1].Kill(t)
	c.Members[2].Kill(t)
	r = see(health.DepthNormal)
	if m := member(t, r, "m1"); m.Clock == nil {
		t.Error("without quorum the clock of the member that is left is not read")
	}
	if got := checkOf(t, r, "clock.skew"); got.Severity != health.SeverityUnknown {
		t.Errorf("two clocks are not known, and clock.skew is %s", got.Severity)
	}
	if r = see(health.DepthFast); checkOf(t, r, "clock.skew").Skipped == "" || r.Members[0].Clock != nil {
		t.Error("clocks are read by a fast look")
	}
}

// TestLongClockSkewed finds a wrong clock beside all else.
func TestLongClockSkewed(t *testing.T) {
	t.Parallel()
	clustertest.Long(t)
	c := clustertest.New(t, clustertest.Options{Size: 3, Skew: []time.Duration{0, 2500 * time.Millisecond, -700 * time.Millisecond}})
	facts, err := health.Collect(clustertest.Context(t, limit), at(c.Endpoints()...), health.Options{Bound: 10 * time.Second, Depth: health.DepthNormal})
	if err != nil {
		t.Fatal(err)
	}
	r := health.Evaluate(facts, health.Policy{})
	if r.Severity != health.SeverityCritical || checkOf(t, r, "clock.skew").Severity != health.SeverityCritical {
		t.Errorf("%s: %+v", r.Severity, r.Findings)
	}
	if !slices.ContainsFunc(r.Findings, func(f health.Finding) bool { return strings.HasPrefix(f.Message, "m2 and m3 are 3.200s +-") }) {
		t.Errorf("nothing names m2 and m3: %+v", r.Findings)
	}
	if !slices.ContainsFunc(r.Findings, func(f health.Finding) bool { return strings.HasPrefix(f.Next, "on m2: chronyc") }) {
		t.Errorf("nothing says that m2 is the one to look at: %+v", r.Findings)
	}
	if !member(t, r, "m1").Clock.Reference {
		t.Errorf("the middle clock is not the reference")
	}
}

func checkOf(t *testing.T, r health.Report, id string) health.CheckReport {
	t.Helper()
	i := slices.IndexFunc(r.Checks, func(c health.CheckReport) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("there is no check %s", id)
	}
	return r.Checks[i]
}
