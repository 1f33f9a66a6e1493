package clock

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"time"
)

// Target is a member whose clock is read.
type Target struct {
	ID         string // in hexadecimal; empty where it is not known
	Name       string
	ClientURLs []string
	PeerURLs   []string
	Absent     string // why there is nothing to ask; empty where there is
}

// Options say how clocks are read. Zero values mean the defaults.
type Options struct {
	Sources []Kind // nil: serve and probing, and date where neither answers
	Samples int    // of each source; default 10
	// Bound is the silence after which a source is given up; default 1 s.
	Bound time.Duration
	// Quick leaves out what takes seconds and what is not needed: without Sources the client URL is asked only where the
	// peer URL does not answer, and a Date is read once, which tells the second only.
	Quick bool
	NTP   string // time server that the members are compared with; empty: none
	SSH   SSH
	Self  string // name under which this process's own clock is one of the clocks; empty: it is none

	TLS  *tls.Config // for client URLs; nil: the system's authorities and no certificate
	Peer *tls.Config // for peer URLs; nil: as TLS

	onSample func(target string, taken int) // for tests
}

func (o Options) withDefaults() Options {
	if o.Samples <= 0 {
		o.Samples = 10
	}
	o.Samples = min(o.Samples, maxSamples)
	if o.Bound <= 0 {
		o.Bound = time.Second
	}
	if o.Peer == nil {
		o.Peer = o.TLS
	}
	if o.onSample == nil {
		o.onSample = func(string, int) {}
	}
	return o
}

// maxSamples bounds what one source is asked.
const maxSamples = 100_000

// The largest slew allowed for, in parts per thousand: chrony's default limit is 83,333 ppm, all others stay below. Where
// this machine's own clock runs at its usual speed (ntpd and the kernel change it by 500 ppm) that is all; twice as much
// where it is being slewed too.
const (
	steadyRho  = 85
	defaultRho = 100 // where this machine does not tell
	slewingRho = 200
	steadyPPM  = 1_500
)

// Read reads the clocks of all targets at once. A clock that cannot be read is a fact, not an error; the error is the end
// of ctx.
func Read(ctx context.Context, targets []Target, opts Options) (Readings, error) {
	began := time.Now()
	clocks, err := readOnce(ctx, targets, opts, stopwatch{began})
	return Readings{
		StartedAt: began.Round(0).UTC(), TookNS: int64(time.Since(began)), RhoPPT: localRho(), Clocks: clocks,
	}, err
}

// moreRounds is how often an audit reads again where the limit lies within its bounds: a luckier reading may decide it.
const moreRounds = 3

// Audit reads the clocks and judges them. Where the limit lies within what is known of a pair, it reads more.
func Audit(ctx context.Context, targets []Target, opts Options, limit time.Duration) (Report, error) {
	began := time.Now()
	r := Readings{StartedAt: began.Round(0).UTC(), RhoPPT: localRho()}
	var err error
	r.Clocks, err = readOnce(ctx, targets, opts, stopwatch{began})
	r.TookNS = int64(time.Since(began))
	report := Evaluate(r, limit)
	for round := 0; round < moreRounds && err == nil && report.tooClose(); round++ {
		var more []Reading
		more, err = readOnce(ctx, targets, opts, stopwatch{began})
		for i := range more {
			r.Clocks[i].add(more[i])
		}
		r.TookNS = int64(time.Since(began))
		report = Evaluate(r, limit)
	}
	return report, err
}

// readOnce reads all clocks, members first.
func readOnce(ctx context.Context, targets []Target, opts Options, watch stopwatch) ([]Reading, error) {
	opts = opts.withDefaults()
	a := &audit{opts: opts, watch: watch, gate: newGate(opts.parties(targets))}
	clocks := make([]Reading, len(targets), len(targets)+2)
	var reading sync.WaitGroup
	for i, target := range targets {
		reading.Go(func() { clocks[i] = a.member(ctx, target) })
	}
	var others []Reading
	if opts.NTP != "" {
		others = append(others, a.timeServer(ctx))
	}
	if opts.Self != "" {
		others = append(others, a.self(ctx))
	}
	reading.Wait()
	return append(clocks, others...), context.Cause(ctx)
}

// localRho looks whether this machine's clock is being slewed: the distance to a remote one then changes faster.
func localRho() int64 {
	switch k := LocalKernel(); {
	case k == nil:
		return defaultRho
	case max(k.SpeedPPM, -k.SpeedPPM) > steadyPPM:
		return slewingRho
	}
	return steadyRho
}

// audit is one run of Read.
type audit struct {
	opts  Options
	watch stopwatch
	gate  *gate
}

// member reads one member's clock.
func (a *audit) member(ctx context.Context, target Target) Reading {
	r := Reading{ID: target.ID, Name: target.Name, Series: []Series{}, Failures: []Failure{}}
	if target.Absent != "" {
		r.Failures = append(r.Failures, Failure{Cause: target.Absent})
		return r
	}
	m := &memberReader{audit: a, target: target, reading: &r}
	if a.opts.Sources == nil {
		m.automatic(ctx)
		return r
	}
	var sources sync.WaitGroup
	for _, kind := range a.opts.Sources {
		sources.Go(func() { m.take(ctx, kind) })
	}
	sources.Wait()
	slices.SortStableFunc(r.Series, func(x, y Series) int { return order(x.Source) - order(y.Source) })
	slices.SortStableFunc(r.Failures, func(x, y Failure) int { return order(x.Source) - order(y.Source) })
	return r
}

// loginBound is how long a login may take.
const loginBound = 10 * time.Second

func order(k Kind) int { return slices.Index([]Kind{KindServe, KindProbing, KindSSH, KindDate}, k) }

// self reads the clock of this process as one of the clocks: without a way there is no doubt.
func (a *audit) self(ctx context.Context) Reading {
	s := Series{Source: KindSelf}
	r := Reading{Name: a.opts.Self, Failures: []Failure{}, Kernel: LocalKernel()}
	a.gate.wait(ctx)
	for range a.opts.Samples {
		sent := a.watch.now()
		shown, err := a.watch.stamp(time.Now())
		if err == nil {
			s.Samples = append(s.Samples, Sample{SentNS: sent, ReceivedNS: a.watch.now(), FirstNS: shown, LastNS: shown})
		}
	}
	r.Series = []Series{s}
	return r
}

// memberReader reads one member's clock from several sources at once.
type memberReader struct {
	*audit
	target Target

	mu      sync.Mutex
	reading *Reading
	taken   int
}

// automatic asks the endpoint of etcdops serve and /raft/probing at once, on different URLs, so that each checks the
// other; where the first is missing, the Date header of the refusal still checks the second coarsely. Only where neither
// tells the time is the Date read closely.
func (m *memberReader) automatic(ctx context.Context) {
	if m.opts.Quick {
		_ = m.take(ctx, KindProbing) || m.take(ctx, KindServe)
		return
	}
	var sources sync.WaitGroup
	var exact [2]bool
	sources.Go(func() { exact[0] = m.take(ctx, KindServe) })
	sources.Go(func() { exact[1] = m.take(ctx, KindProbing) })
	sources.Wait()
	if !exact[0] && !exact[1] && ctx.Err() == nil {
		m.forget(KindDate)
		m.take(ctx, KindDate)
	}
}

// take reads one source by the first URL that answers, and reports whether it did.
func (m *memberReader) take(ctx context.Context, kind Kind) bool {
	arrive := m.gate.party(kind)
	defer arrive()
	urls := m.target.ClientURLs
	switch kind {
	case KindProbing:
		urls = m.target.PeerURLs
	case KindSSH:
		urls = m.opts.SSH.hosts(m.target)
	case KindServe, KindDate, KindNTP, KindSelf:
	}
	if len(urls) == 0 {
		m.fail(kind, "", errors.New("the member advertises no URL for it"))
	}
	for _, url := range urls {
		r, err := m.open(ctx, kind, url)
		if err != nil {
			m.fail(kind, url, err)
			continue
		}
		ok := m.run(ctx, kind, url, r, arrive)
		r.close()
		if ok {
			return true
		}
	}
	return false
}

func (m *memberReader) open(ctx context.Context, kind Kind, url string) (reader, error) {
	switch kind {
	case KindServe:
		return newServe(m.watch, url, m.target.ID, m.opts.TLS)
	case KindProbing:
		return newProbing(m.watch, url, m.opts.Peer)
	case KindSSH:
		return m.opts.SSH.open(ctx, m.watch, url)
	case KindDate, KindNTP, KindSelf:
	}
	return newDate(m.watch, url, m.opts.TLS)
}

// run samples one source. The first answer pays for the connection; the others wait until every member has given one,
// so that all clocks are read at the same time.
func (m *memberReader) run(ctx context.Context, kind Kind, url string, r reader, arrive func()) bool {
	patience := m.opts.Bound
	if kind == KindSSH {
		patience = max(patience, loginBound)
	}
	first, err := ask(ctx, r, patience)
	if h, ok := r.(*httpReader); ok && kind == KindServe && err != nil && m.opts.Sources == nil {
		m.crossCheck(url, h)
	}
	if err != nil {
		if !errors.Is(err, errNoEndpoint) || m.opts.Sources != nil {
			m.fail(kind, url, err)
		}
		return false
	}
	arrive()
	samples := []Sample{first}
	switch {
	case first.QuantumNS == 0:
		m.gate.wait(ctx)
		for len(samples) < m.opts.Samples && err == nil {
			var s Sample
			if s, err = ask(ctx, r, m.opts.Bound); err == nil {
				samples = append(samples, s)
				m.count()
			}
		}
	case !m.opts.Quick:
		samples, err = search(ctx, r, m.watch, first, m.opts.Bound)
	}
	if err != nil {
		m.fail(kind, url, err) // and what there is counts
	}
	m.add(Series{Source: kind, URL: url, Samples: samples})
	if h, ok := r.(*httpReader); ok && h.kernel != nil {
		m.mu.Lock()
		m.reading.Kernel = h.kernel
		m.mu.Unlock()
	}
	return true
}

// crossCheck keeps the Date header of an answer that was no stamp.
func (m *memberReader) crossCheck(url string, h *httpReader) {
	if h.last.date == "" {
		return
	}
	s := Sample{SentNS: h.last.sent, ReceivedNS: h.last.received}
	if dateStamps(m.watch, h.last, &s) == nil {
		m.add(Series{Source: KindDate, URL: url, Samples: []Sample{s}})
	}
}

func (m *memberReader) add(s Series) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reading.Series = append(m.reading.Series, s)
}

// forget drops what a source gave, before it is read closely.
func (m *memberReader) forget(kind Kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reading.Series = slices.DeleteFunc(m.reading.Series, func(s Series) bool { return s.Source == kind })
}

func (m *memberReader) fail(kind Kind, url string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reading.Failures = append(m.reading.Failures, Failure{Source: kind, URL: url, Cause: cause(err, m.opts.Bound)})
}

func (m *memberReader) count() {
	m.mu.Lock()
	m.taken++
	taken := m.taken
	m.mu.Unlock()
	m.opts.onSample(m.target.Name, taken)
}
