package ops

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

var errNoEndpoints = errors.New("no endpoint to connect to")

// isCanceled reports whether err is the echo of somebody giving up.
func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// evidence is all that one failed attempt to connect has left behind.
type evidence struct {
	ep      endpoint
	tls     TLS
	stage   Stage
	err     error
	timeout time.Duration
	chain   []*x509.Certificate // as served
	leaf    *x509.Certificate   // the client's own, nil when none was offered
	asked   bool                // the server asked for the client's
	head    []byte              // first bytes that came
	now     time.Time
}

// explain turns a failed attempt into an error a person can act on.
func (l *link) explain(ctx context.Context, a *attempt) error {
	stage, err, _ := a.result()
	if hint, ok := errors.AsType[*HintError](err); ok { // a file of the TLS set-up broke since Dial
		return hint
	}
	e := l.evidence(a, stage, err)
	if e.ambiguous() {
		return e.unravel(ctx)
	}
	return e.diagnose()
}

func (l *link) evidence(a *attempt, stage Stage, err error) evidence {
	chain, asked, head, _ := a.snapshot()
	e := evidence{
		ep: a.ep, tls: l.transport.files.cfg, stage: stage, err: err, timeout: a.timeout,
		chain: chain, asked: asked, head: head, now: time.Now(),
	}
	if m, err := l.transport.files.get(); err == nil && m.cert != nil {
		e.leaf = m.cert.Leaf
	}
	return e
}

// gaveUp tells how far an attempt had come when ctx ended; a is nil when none had started.
func (l *link) gaveUp(ctx context.Context, a *attempt) error {
	if isCanceled(ctx.Err()) {
		return &HintError{Class: ClassInterrupted, Op: "connect to", Member: l.ep.text, Err: context.Cause(ctx)}
	}
	stage, since := StageTCP, time.Duration(0)
	if a != nil {
		if failed := l.before(a); failed != nil { // a was only trying again
			stage, err, _ := failed.result()
			return l.evidence(failed, stage, err).diagnose()
		}
		a.mu.Lock()
		stage, since = a.stage, time.Since(a.since)
		a.mu.Unlock()
	}
	e := evidence{ep: l.ep, tls: l.transport.files.cfg, stage: stage, err: os.ErrDeadlineExceeded, timeout: since}
	return e.diagnose()
}

// fault builds the error of one cause.
func (e evidence) fault(code Code, cause, hint string) *HintError {
	stage := strings.ToUpper(string(e.stage))
	if e.stage == StageHTTP2 {
		stage = "HTTP/2"
	}
	if e.stage == "" {
		stage = "TCP"
	}
	return &HintError{
		Code: code, Class: ClassUnreachable, Op: "connect to", Member: e.ep.text,
		Err: &StageError{Stage: e.stage, Err: fmt.Errorf("%s: %s", stage, cause), Cause: e.err}, Hint: hint,
	}
}

// StageError is the cause of a failed connection: the stage, the words for people, and the system's own error.
type StageError struct {
	Stage Stage
	Err   error // in plain words, the stage's name first
	Cause error // as the system or library reported it
}

// Error implements error.
func (e *StageError) Error() string { return e.Err.Error() }

// Unwrap returns the underlying cause.
func (e *StageError) Unwrap() error { return e.Cause }

// diagnose finds the cause; it looks at nothing but the evidence.
func (e evidence) diagnose() *HintError {
	if e.stage == StageTLS {
		return e.diagnoseTLS()
	}
	if e.stage == StageHTTP2 {
		return e.diagnoseHTTP2()
	}
	return e.diagnoseNetwork()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &n) && n.Timeout()
}

func (e evidence) diagnoseNetwork() *HintError {
	host, port, _ := net.SplitHostPort(e.ep.address)
	var dns *net.DNSError
	switch {
	case errors.As(e.err, &dns) && dns.IsNotFound:
		return e.fault(CodeDNS, "no such host "+host, "getent hosts "+host+"; or use the member's IP address")
	case errors.As(e.err, &dns), e.stage == StageDNS:
		return e.fault(CodeDNS, "the name "+host+" cannot be looked up: "+dnsCause(e.err, dns), "cat /etc/resolv.conf; or use the member's IP address")
	case errors.Is(e.err, syscall.ECONNREFUSED):
		return e.fault(CodeRefused, "connection refused: nothing listens on "+e.ep.address, "on "+host+": is etcd running? systemctl status etcd etcdops; crictl ps -a --name etcd; ss -ltn 'sport = :"+port+"'")
	case errors.Is(e.err, os.ErrNotExist):
		return e.fault(CodeRefused, "there is no socket "+e.ep.address, "ls -l "+e.ep.address)
	case errors.Is(e.err, syscall.EHOSTUNREACH), errors.Is(e.err, syscall.ENETUNREACH), errors.Is(e.err, syscall.EADDRNOTAVAIL):
		return e.fault(CodeNoRoute, "no route to "+e.ep.address+" ("+rootCause(e.err)+")", "ip route get "+host)
	case errors.Is(e.err, syscall.EACCES), errors.Is(e.err, syscall.EPERM):
		return e.fault(CodeNoRoute, "this machine does not permit the connection ("+rootCause(e.err)+")", "look at the local firewall (nft list ruleset) or the socket's permissions")
	case isTimeout(e.err):
		return e.fault(CodeNoAnswer, fmt.Sprintf("no answer from %s within %s: the host is down, or a firewall drops the packets", e.ep.address, round(e.timeout)), "ping "+host+"; is the port open between the two hosts? nc -vz "+host+" "+port)
	case errors.Is(e.err, syscall.ECONNRESET):
		return e.fault(CodeConnClosed, "the connection was reset by "+e.ep.address, "a firewall or proxy on the way refuses it: look at their logs")
	}
	return e.fault(CodeConnectOther, rootCause(e.err), "")
}

func dnsCause(err error, dns *net.DNSError) string {
	switch {
	case isTimeout(err), dns != nil && dns.IsTimeout:
		return "the name server does not answer"
	case dns != nil:
		return dns.Err
	}
	return rootCause(err)
}

// diagnoseHTTP2 explains connections that stood (with TLS, if the endpoint has it) and then broke on the first read.
func (e evidence) diagnoseHTTP2() *HintError {
	if alert, ok := remoteAlert(e.err); ok && e.ep.secure {
		return e.diagnoseAlert(alert)
	}
	switch {
	case looksLikeTLS(e.head):
		return e.fault(CodeTLSServer, "the server speaks TLS and this client does not", "use https://"+e.ep.address)
	case strings.HasPrefix(string(e.head), "HTTP/1"):
		return e.fault(CodeNotEtcd, fmt.Sprintf("the server answers %q: a web server or proxy, not etcd", firstLine(e.head)), "check host and port; etcd's clients use 2379 by default")
	case len(e.head) > 0:
		return e.fault(CodeNotEtcd, fmt.Sprintf("the server says %q: another protocol, not etcd", firstLine(e.head)), "check host and port; etcd's clients use 2379 by default")
	case isTimeout(e.err):
		return e.silent()
	}
	return e.closedEarly()
}

func (e evidence) silent() *HintError {
	return e.fault(CodeSilent, fmt.Sprintf("%s accepts the connection and then says nothing for %s: its process hangs or is stopped, or its disk stalls", e.ep.address, round(e.timeout)),
		"on that host: ps -o pid,stat,wchan,args -C etcd,etcdops (T: stopped, D: waits for the disk); dmesg | tail")
}

func (e evidence) closedEarly() *HintError {
	return e.fault(CodeConnClosed, "the server closed the connection without a word ("+rootCause(e.err)+")", "look at that member's log; a proxy or load balancer with no member behind it does this too")
}

// ambiguous reports whether the other side closed the connection without a word, which a second look can explain.
func (e evidence) ambiguous() bool {
	if len(e.head) > 0 || e.stage != StageTLS && e.stage != StageHTTP2 {
		return false
	}
	return errors.Is(e.err, io.EOF) || errors.Is(e.err, io.ErrUnexpectedEOF) || errors.Is(e.err, syscall.ECONNRESET) || errors.Is(e.err, syscall.EPIPE)
}

func firstLine(head []byte) string {
	line, _, _ := strings.Cut(string(head), "\n")
	return strings.TrimRight(line, "\r")
}

// looksLikeTLS tells an alert or a handshake record of TLS (RFC 8446, section 5.1).
func looksLikeTLS(head []byte) bool {
	return len(head) >= 2 && (head[0] == 0x15 || head[0] == 0x16) && head[1] == 0x03
}

// rootCause is the innermost text of a chain of wrapped errors: "dial tcp: lookup x: y" says y.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

func round(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
