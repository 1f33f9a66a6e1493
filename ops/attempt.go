package ops

import (
	"crypto/x509"
	"sync"
	"time"
)

// Stage is one step on the way to an answer from a member.
type Stage string

// The stages, in their order.
const (
	StageDNS   Stage = "dns"   // the host's name is looked up
	StageTCP   Stage = "tcp"   // the connection is opened
	StageTLS   Stage = "tls"   // both sides prove who they are
	StageHTTP2 Stage = "http2" // the server shows that it speaks HTTP/2, and that it lets this client in
	StageAuth  Stage = "auth"  // the etcd user is let in
	StageRPC   Stage = "rpc"   // a request is answered
)

// StageTime says how long one stage took, failed or not.
type StageTime struct {
	Stage Stage
	Took  time.Duration
}

// attempt records one try to connect to one endpoint. The dialer, the TLS handshake and the first read write it, any
// goroutine may read it. It settles once: with the server's first bytes, or with the error that ended it.
type attempt struct {
	ep      endpoint
	timeout time.Duration
	begun   time.Time
	done    chan struct{} // closed when settled

	mu      sync.Mutex
	stage   Stage // under way, or the one that failed
	since   time.Time
	took    []StageTime
	err     error // why it failed; nil before it settles and when it succeeded
	settled bool
	gone    bool                // the connection has been closed since
	chain   []*x509.Certificate // as served, verified or not
	asked   bool                // the server asked for a client certificate
	files   *tlsMaterial        // that the handshake used; nil before it
	head    []byte              // the first bytes that came, at most headSize
}

// headSize is enough of an answer to tell an HTTP/2 frame (9 bytes) from other protocols.
const headSize = 32

func newAttempt(ep endpoint, timeout time.Duration) *attempt {
	now := time.Now()
	return &attempt{ep: ep, timeout: timeout, begun: now, done: make(chan struct{}), since: now}
}

// enter ends the stage under way and begins the next.
func (a *attempt) enter(s Stage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settled || a.stage == s {
		return
	}
	a.closeStage()
	a.stage, a.since = s, time.Now()
}

func (a *attempt) closeStage() {
	if a.stage == "" {
		return
	}
	a.took = append(a.took, StageTime{Stage: a.stage, Took: time.Since(a.since)})
}

// settle ends the attempt; only the first call counts.
func (a *attempt) settle(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settled {
		return
	}
	a.closeStage()
	a.err, a.settled = err, true
	close(a.done)
}

// result returns the stage reached and why it failed there; settled is false while the attempt is under way.
func (a *attempt) result() (stage Stage, err error, settled bool) { //nolint:revive // err is a recorded value here
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stage, a.err, a.settled
}

// live reports whether the attempt is under way, or succeeded and its connection stands.
func (a *attempt) live() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.gone && (!a.settled || a.err == nil)
}

// failed reports whether the attempt has ended in an error.
func (a *attempt) failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled && a.err != nil
}

// age is the time since the attempt began.
func (a *attempt) age() time.Duration { return time.Since(a.begun) }

func (a *attempt) setGone() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
}

func (a *attempt) setChain(chain []*x509.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.chain = chain
}

func (a *attempt) setFiles(m *tlsMaterial) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files = m
}

func (a *attempt) usedFiles() *tlsMaterial {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.files
}

func (a *attempt) setAsked() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = true
}

// addHead keeps the first bytes read and returns what is known of them so far.
func (a *attempt) addHead(b []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if room := headSize - len(a.head); room > 0 {
		a.head = append(a.head, b[:min(room, len(b))]...)
	}
	return a.head
}

// snapshot copies what a diagnosis needs.
func (a *attempt) snapshot() (chain []*x509.Certificate, asked bool, head []byte, took []StageTime) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chain, a.asked, append([]byte(nil), a.head...), append([]StageTime(nil), a.took...)
}
