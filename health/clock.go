package health

import (
	"context"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/ops"
)

// clockSamples is how often each clock is read: one in five meets no queue even on a busy machine.
const clockSamples = 5

// askClocks starts to read the clocks of the members that a list names; the first list to come is taken.
func (c *collector) askClocks(ctx context.Context, members []ops.Member) {
	if c.opts.Depth < DepthNormal || c.light || len(members) > maxEndpoints {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clocks != nil {
		return
	}
	c.clocks = &clock.Readings{}
	into := c.clocks
	c.pending.Go(func() { c.readClocks(ctx, members, into) })
}

func (c *collector) readClocks(ctx context.Context, members []ops.Member, into *clock.Readings) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Bound)
	defer cancel()
	var targets []clock.Target
	for _, m := range members {
		t := clock.Target{ID: m.ID.String(), Name: m.Label(), ClientURLs: m.ClientURLs, PeerURLs: m.PeerURLs}
		if !m.Started() {
			t.Absent = "it never started"
		}
		targets = append(targets, t)
	}
	opts := clock.Options{Quick: true, Samples: clockSamples, Bound: c.opts.Bound}
	peers := c.cfg.TLS
	peers.ServerName = "" // is that of the certificates for clients
	var err error
	if opts.TLS, err = c.cfg.TLS.ClientConfig(); err != nil {
		return // the files were fine a moment ago
	}
	if opts.Peer, err = peers.ClientConfig(); err != nil {
		return
	}
	*into, _ = clock.Read(ctx, targets, opts) // what was not read in time is told by each clock
}

// clockReport judges the readings by a limit; nil when there are none.
func (v *view) clockReport(limit time.Duration) *clock.Report {
	if v.facts.Clock == nil || len(v.facts.Clock.Clocks) == 0 || len(v.facts.Clock.Clocks) > maxEndpoints {
		return nil
	}
	r := clock.Evaluate(*v.facts.Clock, limit)
	return &r
}

// tellClocks puts the clocks' offsets beside what else is known of the members.
func (v *view) tellClocks(members []MemberReport) {
	r := v.clockReport(clock.DefaultLimit)
	if r == nil {
		return
	}
	for i := range members {
		for _, k := range r.Clocks {
			if k.ID == members[i].ID.String() && k.Offset != nil {
				members[i].Clock = &ClockReport{Reference: k.Reference, Offset: *k.Offset, Source: k.Source}
			}
		}
	}
}

// clockMember finds the member that a clock was read of, nil when nobody lists it any more.
func (v *view) clockMember(k clock.Clock) *member {
	id, err := ops.ParseMemberID(k.ID)
	if err != nil {
		return nil
	}
	return v.byID(id)
}

// clockLabel names the member that a clock was read of.
func (v *view) clockLabel(k clock.Clock) string {
	if m := v.clockMember(k); m != nil {
		return m.label
	}
	return k.Name
}
