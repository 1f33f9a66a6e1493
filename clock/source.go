package clock

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// reader reads one remote clock over one connection.
type reader interface {
	// read asks once.
	read(ctx context.Context) (Sample, error)
	close()
}

// maxBody bounds an answer: the largest honest one is a few hundred bytes.
const maxBody = 64 << 10

// Paths that are asked for the time.
const (
	// Path is where Handler serves.
	Path        = "/etcdops/v1/clock"
	probingPath = "/raft/probing"
	datePath    = "/version" // answered by every etcd without authentication, whatever else it refuses
)

// answer is what came back from one HTTP request, with when.
type answer struct {
	sent, received int64
	status         int
	date           string
	body           []byte
}

// httpReader asks one URL over one connection that is kept.
type httpReader struct {
	watch     stopwatch
	url       string
	client    *http.Client
	transport *http.Transport
	stamps    func(answer, *Sample) error
	kernel    *Kernel // as last told
	last      answer  // to any question, also one that was no stamp
}

// newHTTP prepares a reader; it connects with the first request. No proxy is used whatever the environment says: a
// clock behind one cannot be told from the proxy's.
func newHTTP(w stopwatch, base, path string, settings *tls.Config) (*httpReader, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return nil, errors.New("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%s URLs cannot be asked for the time", u.Scheme)
	}
	dialer := &net.Dialer{}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: settings, DisableCompression: true,
		MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: maxBody,
	}
	client := &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &httpReader{watch: w, url: strings.TrimRight(base, "/") + path, client: client, transport: t}, nil
}

// ask makes one request. It counts as sent once there is a connection for it and nothing of it was written, and as
// received with the first byte of the answer.
func (h *httpReader) ask(ctx context.Context) (answer, error) {
	var sent, received atomic.Int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { sent.Store(h.watch.now()) },
		GotFirstResponseByte: func() { received.Store(h.watch.now()) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close()
	a := answer{sent: sent.Load(), received: received.Load(), status: resp.StatusCode, date: resp.Header.Get("Date"), body: body}
	if err == nil && a.received < a.sent {
		err = errors.New("the answer came before the question")
	}
	return a, err
}

// read implements reader.
func (h *httpReader) read(ctx context.Context) (Sample, error) {
	a, err := h.ask(ctx)
	if err != nil {
		return Sample{}, err
	}
	h.last = a
	s := Sample{SentNS: a.sent, ReceivedNS: a.received}
	err = h.stamps(a, &s)
	return s, err
}

func (h *httpReader) close() { h.transport.CloseIdleConnections() }

// newProbing reads the answers of etcd's /raft/probing, which carry its clock as it was when they were made.
func newProbing(w stopwatch, base string, settings *tls.Config) (*httpReader, error) {
	h, err := newHTTP(w, base, probingPath, settings)
	if err != nil {
		return nil, err
	}
	h.stamps = func(a answer, s *Sample) error {
		var told struct{ Now time.Time }
		if err := decode(a, &told); err != nil {
			return err
		}
		if told.Now.IsZero() {
			return errors.New("its answer carries no time")
		}
		s.FirstNS, err = w.stamp(told.Now)
		s.LastNS = s.FirstNS
		return err
	}
	return h, nil
}

// newDate reads the Date header of whatever is answered.
func newDate(w stopwatch, base string, settings *tls.Config) (*httpReader, error) {
	h, err := newHTTP(w, base, datePath, settings)
	if err != nil {
		return nil, err
	}
	h.stamps = func(a answer, s *Sample) error { return dateStamps(w, a, s) }
	return h, nil
}

func dateStamps(w stopwatch, a answer, s *Sample) error {
	date, err := http.ParseTime(a.date)
	if err != nil {
		return errors.New("its answers have no Date header")
	}
	s.FirstNS, err = w.stamp(date)
	s.LastNS, s.QuantumNS = s.FirstNS, int64(time.Second)
	return err
}

// errNoEndpoint means that an HTTP server has no clock endpoint: upstream's etcd, or a version of serve before it.
var errNoEndpoint = errors.New("it has no clock endpoint: it is not etcdops serve")

// newServe reads the endpoint of etcdops serve. A member that says it is another one than id is refused.
func newServe(w stopwatch, base, id string, settings *tls.Config) (*httpReader, error) {
	h, err := newHTTP(w, base, Path, settings)
	if err != nil {
		return nil, err
	}
	h.stamps = func(a answer, s *Sample) error {
		if a.status == http.StatusNotFound {
			return errNoEndpoint
		}
		var told Stamp
		if err := decode(a, &told); err != nil {
			return err
		}
		switch {
		case told.Schema != StampSchema:
			return errNoEndpoint
		case id != "" && told.MemberID != id:
			return fmt.Errorf("the URL leads to member %.16q", told.MemberID)
		}
		var err error
		if s.FirstNS, err = w.stamp(told.Received); err != nil {
			return err
		}
		if s.LastNS, err = w.stamp(told.Sent); err != nil {
			return err
		}
		h.kernel = told.Kernel
		return nil
	}
	return h, nil
}

func decode(a answer, into any) error {
	if a.status != http.StatusOK {
		return fmt.Errorf("it answers %d %s", a.status, http.StatusText(a.status))
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return errors.New("its answer is not that of an etcd member")
	}
	return nil
}
