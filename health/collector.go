package health

import (
	"context"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/ops"
)

// collector asks endpoints and follows the member lists that it is given.
type collector struct {
	cluster *ops.Cluster
	cfg     ops.Config
	opts    Options
	takenAt time.Time // the zeroth microsecond; carries the monotonic clock

	light   bool           // statuses and metrics alone are wanted
	pending sync.WaitGroup // first looks under way

	mu       sync.Mutex
	asked    map[string]*Endpoint // by URL
	peers    map[string]*Peer     // by URL
	clocks   *clock.Readings      // of the members that the first list names; nil while nobody gave one
	notAsked int
}

// now returns the microseconds since the beginning.
func (c *collector) now() int64 { return time.Since(c.takenAt).Microseconds() }

// ask starts a first look at each URL that was not asked yet.
func (c *collector) ask(ctx context.Context, urls []string, given bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, url := range urls {
		if c.asked[url] != nil {
			continue
		}
		if len(c.asked) >= max(maxEndpoints, len(c.cfg.Endpoints)) {
			c.notAsked++
			continue
		}
		e := &Endpoint{URL: url, Given: given}
		c.asked[url] = e
		if c.exposes(url, given) {
			e.Connect = Answer{SentUS: c.now(), Failure: &Failure{
				Kind: KindError, Message: "not asked: it is advertised without TLS and would show the login to the network",
				Hint: "advertise https:// client URLs",
			}}
			continue
		}
		c.pending.Go(func() { c.look(ctx, e) })
	}
}

// exposes reports whether asking an advertised URL would send credentials in the clear that the given endpoints keep
// secret.
func (c *collector) exposes(url string, given bool) bool {
	return !given && c.cfg.Auth != (ops.Auth{}) && strings.HasPrefix(url, "http://") &&
		strings.HasPrefix(c.cfg.Endpoints[0], "https://")
}

// look connects to one endpoint and asks it everything at once.
func (c *collector) look(whole context.Context, e *Endpoint) {
	ctx, cancel := context.WithTimeout(whole, c.opts.Bound)
	defer cancel()
	// A member without a leader then refuses what needs one at once, instead of keeping it until the bound.
	needsLeader := clientv3.WithRequireLeader(ctx)
	var conn *grpc.ClientConn
	e.Connect = c.timed(ctx, e.URL, func() (err error) {
		conn, err = c.cluster.Conn(needsLeader, e.URL)
		return err
	})
	if chain := c.cluster.Served(e.URL); len(chain) > 0 {
		e.Certificate = certificateOf(chain[0])
		e.WantsClient = c.cluster.AsksForCertificate(e.URL)
	}
	if e.Connect.Failure != nil {
		return
	}
	var requests sync.WaitGroup
	defer requests.Wait()
	requests.Go(func() {
		e.Members = c.members(ctx, e.URL, conn)
		if list := e.Members.Membership; list != nil {
			for _, m := range list.Members {
				c.ask(whole, m.ClientURLs, false) // with a bound of their own
			}
			c.askPeers(whole, list.Members)
			c.askClocks(whole, list.Members)
		}
	})
	requests.Go(func() { e.Statuses = append(e.Statuses, c.status(ctx, e.URL, conn)) })
	var reads sync.WaitGroup
	if !c.light {
		reads.Go(func() { e.Linearizable = c.read(needsLeader, e.URL, conn, false) })
		reads.Go(func() { e.Serializable = c.read(ctx, e.URL, conn, true) })
	}
	if c.opts.Depth >= DepthNormal {
		after := make(chan struct{})
		requests.Go(func() { e.Metrics = c.metrics(ctx, after, e.URL) })
		reads.Wait()
		close(after)
	}
	reads.Wait()
}

// timed makes one request and puts down how it went.
func (c *collector) timed(ctx context.Context, url string, request func() error) Answer {
	a := Answer{SentUS: c.now()}
	err := request()
	a.TookUS = c.now() - a.SentUS
	if err != nil {
		a.Failure = c.failure(ctx, url, err)
	}
	return a
}

func (c *collector) members(ctx context.Context, url string, conn grpc.ClientConnInterface) *MembersAnswer {
	answer := &MembersAnswer{}
	answer.Answer = c.timed(ctx, url, func() error {
		list, err := ops.ReadMembership(ctx, conn)
		if err == nil {
			answer.Membership = &list
		}
		return err
	})
	return answer
}

func (c *collector) status(ctx context.Context, url string, conn grpc.ClientConnInterface) StatusAnswer {
	var answer StatusAnswer
	answer.Answer = c.timed(ctx, url, func() error {
		s, err := ops.ReadStatus(ctx, conn)
		if err == nil {
			answer.Status = &s
		}
		return err
	})
	return answer
}

// probeKey is what etcdctl's endpoint health reads too, so that roles which allow that allow this.
const probeKey = "health"

// read counts one key: it needs what any read needs, and brings no data.
func (c *collector) read(ctx context.Context, url string, conn grpc.ClientConnInterface, serializable bool) *Answer {
	a := c.timed(ctx, url, func() error {
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{
			Key: []byte(probeKey), CountOnly: true, Serializable: serializable,
		})
		return err
	})
	return &a
}

// resample asks those that answered for their status again, after everybody's first answer has arrived, and repeats the
// linearizable read where the first found no leader.
func (c *collector) resample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Bound/secondLook)
	defer cancel()
	var requests sync.WaitGroup
	for _, e := range c.asked {
		if e.lastStatus() == nil {
			continue
		}
		requests.Go(func() {
			conn, err := c.cluster.Conn(ctx, e.URL)
			if err != nil {
				return // the first sample stands
			}
			if e.leaderless() {
				requests.Go(func() { c.readAgain(ctx, e, conn) })
			}
			e.Statuses = append(e.Statuses, c.status(ctx, e.URL, conn))
		})
	}
	requests.Wait()
}

// readAgain keeps the second answer only when it is one: the first failure was given more time.
func (c *collector) readAgain(ctx context.Context, e *Endpoint, conn grpc.ClientConnInterface) {
	if a := c.read(clientv3.WithRequireLeader(ctx), e.URL, conn, false); a.done() {
		e.Linearizable = a
	}
}

// listAgain asks those that told their member list for it again, and whoever is named in it now for the first time.
func (c *collector) listAgain(whole context.Context) {
	ctx, cancel := context.WithTimeout(whole, c.opts.Bound/secondLook)
	defer cancel()
	var requests sync.WaitGroup
	var again []*Endpoint
	for _, e := range c.asked {
		if e.Members == nil || e.Members.Membership == nil {
			continue
		}
		again = append(again, e)
		requests.Go(func() {
			conn, err := c.cluster.Conn(ctx, e.URL)
			if err != nil {
				return // the first answer stands
			}
			if a := c.members(ctx, e.URL, conn); a.Membership != nil {
				e.Members = a
			}
		})
	}
	requests.Wait()
	for _, e := range again {
		for _, m := range e.Members.Membership.Members {
			c.ask(whole, m.ClientURLs, false)
		}
	}
	c.pending.Wait()
}
