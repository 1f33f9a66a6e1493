// Package clockwatch lets a served member keep an eye on its peers' clocks: it audits them now and then, publishes the bounds
// as metrics and logs when the limit comes near.
package clockwatch

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/etcdops/etcdops/clock"
)

// Settings are what users choose.
type Settings struct {
	Interval time.Duration // between audits; 0 switches them off
	Limit    time.Duration // how far apart two clocks may be
}

// Defaults are the settings where nothing else is said.
func Defaults() Settings { return Settings{Interval: time.Minute, Limit: clock.DefaultLimit} }

// AddFlags declares the settings' flags.
func (s *Settings) AddFlags(fs *flag.FlagSet) {
	*s = Defaults()
	fs.DurationVar(&s.Interval, "clock-audit-interval", s.Interval,
		"Time between audits of the peers' clocks, whose bounds are metrics (etcdops_clock_...); 0 switches them off.")
	fs.DurationVar(&s.Limit, "clock-limit", s.Limit,
		"How far apart the clocks of two members may be; from four tenths of it on, the log warns.")
}

// Check refuses settings that make no sense.
func (s *Settings) Check() error {
	switch {
	case s.Interval < 0 || s.Interval > 0 && s.Interval < minInterval:
		return errors.New("--clock-audit-interval is 0 or at least " + minInterval.String())
	case s.Limit <= 0:
		return errors.New("--clock-limit is a duration above 0")
	}
	return nil
}

const (
	minInterval = time.Second
	samples     = 5           // enough for the best of them to have met no queue
	firstAudit  = time.Second // at most, after the member is ready
	// near is the part of the limit, in tenths, from which on the log warns.
	near = 4
	// repeat is how often the log says again what has not changed.
	repeat = time.Hour
)

// Watch audits the clocks of a member's peers.
type Watch struct {
	Settings
	Name  string                      // of this member
	Peers func() []clock.Target       // the other members, as they are now
	TLS   func() (*tls.Config, error) // for peer URLs, loaded anew each time; nil: no TLS
	Log   *slog.Logger

	metrics metrics
	told    map[string]mark
}

// mark is what the log last said of a peer.
type mark struct {
	level int
	at    time.Time
}

// Run audits until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	w.told = map[string]mark{}
	wait := time.Duration(rand.Int64N(int64(min(firstAudit, w.Interval))))
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		w.audit(ctx)
		// The members of a cluster start together: they need not audit together.
		wait = w.Interval*9/10 + time.Duration(rand.Int64N(int64(w.Interval/5)))
	}
}

func (w *Watch) audit(ctx context.Context) {
	peers := w.Peers()
	if len(peers) == 0 {
		w.metrics.set(nil)
		return
	}
	opts := clock.Options{Sources: []clock.Kind{clock.KindProbing}, Samples: samples, Self: w.Name}
	if w.TLS != nil {
		settings, err := w.TLS()
		if err != nil {
			w.Log.Warn("clocks of the peers cannot be audited: peer certificates cannot be loaded", "error", err)
			return
		}
		opts.Peer = settings
	}
	report, err := clock.Audit(ctx, peers, opts, w.Limit)
	if err != nil {
		return // the member is being stopped
	}
	found := make([]peer, 0, len(peers))
	self := len(report.Clocks) - 1
	for i := range report.Clocks[:self] {
		p := peer{id: report.Clocks[i].ID, name: report.Clocks[i].Name, state: report.Clocks[i].State, cause: report.Clocks[i].Cause}
		p.offset, p.known = report.Of(i, self)
		found = append(found, p)
		w.tell(p)
	}
	w.metrics.set(found)
}

// peer is what one audit found out about one peer.
type peer struct {
	id, name string
	state    clock.State
	cause    string
	offset   clock.Interval // of its clock against this member's
	known    bool
}

// Levels of what the log has to say of a peer, in the order of urgency.
const (
	fine = iota
	nearby
	beyond
)

// tell logs when a peer's clock comes near the limit, passes it, or comes back; and again while that lasts.
func (w *Watch) tell(p peer) {
	if p.state == clock.Jumped {
		w.Log.Warn("the clock of a peer was set while it was read", "peer", p.name, "peer-id", p.id, "cause", p.cause)
		return
	}
	if !p.known {
		return // that a peer cannot be reached is told by raft
	}
	least, most := p.offset.Apart()
	level := fine
	switch {
	case least >= w.Limit:
		level = beyond
	case least*10 >= w.Limit*near, most >= w.Limit:
		level = nearby
	}
	before := w.told[p.id]
	if level == before.level && (level == fine || time.Since(before.at) < repeat) {
		return
	}
	w.told[p.id] = mark{level, time.Now()}
	args := []any{"peer", p.name, "peer-id", p.id, "offset", clock.Around(p.offset), "limit", w.Limit.String()}
	switch level {
	case beyond:
		w.Log.Error("the clock of a peer and that of this member are further apart than the limit", append(args, "next", "etcdops clock audit")...)
	case nearby:
		w.Log.Warn("the clocks of a peer and of this member come near the limit", append(args, "next", "etcdops clock audit")...)
	default:
		w.Log.Info("the clock of a peer is close to that of this member again", args...)
	}
}
