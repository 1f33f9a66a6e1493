package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// MemberHash is one member's answer about its data.
type MemberHash struct {
	Member          string `json:"member"`
	Revision        int64  `json:"revision"` // that was asked for
	CompactRevision int64  `json:"compact_revision"`
	Hash            uint32 `json:"hash"`
}

// ErrDiffer says that members hold different data.
var ErrDiffer = errors.New("members hold different data")

// errIncomparable says that hashes were made of different parts of the history; it passes.
var errIncomparable = errors.New("hashes of different revisions or compactions")

// Hashes asks every voter for the hash of its data at the newest revision, one after the other and the leader last: a member
// takes no write while it computes one. A member that cannot answer is an error.
func Hashes(ctx context.Context, cluster *ops.Cluster) ([]MemberHash, error) {
	seen, err := cluster.Observe(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, verifyLimit/2)
	defer cancel()
	voters, err := liveVoters(seen)
	if err != nil || len(voters) == 0 {
		return nil, err
	}
	revision, err := newestRevision(ctx, cluster, voters[0])
	if err != nil {
		return nil, err
	}
	var out []MemberHash
	for _, m := range voters {
		h, err := hashOf(ctx, cluster, m, revision)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// liveVoters are all voters, the leader last. One that does not answer is an error.
func liveVoters(seen ops.Observation) ([]ops.MemberState, error) {
	var voters []ops.MemberState
	for _, m := range seen.Members {
		switch {
		case m.Learner:
		case m.Condition != ops.Live:
			return nil, fmt.Errorf("%s does not answer: %s", m.Label(), m.Cause)
		default:
			voters = append(voters, m)
		}
	}
	slices.SortStableFunc(voters, func(a, b ops.MemberState) int {
		switch seen.Leader {
		case b.ID:
			return -1
		case a.ID:
			return 1
		}
		return 0
	})
	return voters, nil
}

// newestRevision is the revision that a majority confirms now.
func newestRevision(ctx context.Context, cluster *ops.Cluster, m ops.MemberState) (int64, error) {
	client, err := cluster.At(ctx, m.URL)
	if err != nil {
		return 0, err
	}
	got, err := client.Get(ctx, LockKey) // linearizable
	if err != nil {
		return 0, cluster.Explain(ctx, "read the newest revision at", m.URL, err)
	}
	return got.Header.Revision, nil
}

func hashOf(ctx context.Context, cluster *ops.Cluster, m ops.MemberState, revision int64) (MemberHash, error) {
	client, err := cluster.At(ctx, m.URL)
	if err != nil {
		return MemberHash{}, err
	}
	h, err := client.HashKV(ctx, m.URL, revision)
	if err != nil {
		return MemberHash{}, cluster.Explain(ctx, "ask for a hash at", m.URL, err)
	}
	if id := ops.MemberID(h.Header.GetMemberId()); id != m.ID { // a hash that is compared with itself proves nothing
		return MemberHash{}, fmt.Errorf("%s was asked for a hash at %s, and member %s answered", m.Label(), m.URL, id)
	}
	return MemberHash{Member: m.Label(), Revision: revision, CompactRevision: h.CompactRevision, Hash: h.Hash}, nil
}

// early are the hashes of the members that stay, made while the last new one fills: that takes longer anyway, and the new one
// is hashed at the same revision once it is a voter.
//
// A member answers nothing else while it computes its hash and takes writes: a look at it would find it silent. So this goes
// on only within the one step that looks at nothing but the new member, and that step waits for its end.
type early struct {
	cancel   context.CancelFunc
	done     chan struct{} // closed when nothing below changes any more
	revision int64
	hashes   map[ops.MemberID]MemberHash
}

// hashLimit ends a wait for hashes: a member takes about half a second a gigabyte.
const hashLimit = time.Minute

// beginHashes begins to hash the voters, once nobody is left to be added after the given step. What goes wrong decides
// nothing: those whose hash is missing are asked at the end.
func (r *MemberRun) beginHashes(ctx context.Context, step Step) {
	if r.early != nil {
		return
	}
	for _, s := range r.Journal.Plan.Steps {
		if s.Kind == StepAdd && s.Member != step.Member && !r.Journal.IsDone(s.ID) {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, hashLimit)
	e := &early{cancel: cancel, done: make(chan struct{}), hashes: map[ops.MemberID]MemberHash{}}
	r.early = e
	cluster := r.Cluster // a login may replace it
	go func() {
		defer close(e.done)
		seen, err := cluster.Observe(ctx)
		if err != nil {
			return
		}
		voters, err := liveVoters(seen)
		if err != nil || len(voters) == 0 {
			return
		}
		revision, err := newestRevision(ctx, cluster, voters[0])
		if err != nil {
			return
		}
		e.revision = revision
		for _, m := range voters {
			if m.ID == seen.Leader { // it takes all writes and sends the new member its data: it is asked at the end
				continue
			}
			if h, err := hashOf(ctx, cluster, m, revision); err == nil {
				e.hashes[m.ID] = h
			}
		}
	}()
}

// awaitHashes waits until nothing is hashed any more.
func (r *MemberRun) awaitHashes(ctx context.Context) error {
	if r.early == nil {
		return nil
	}
	select {
	case <-r.early.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endHashes ends what beginHashes began; its connections may be closed then.
func (r *MemberRun) endHashes() {
	if r.early != nil {
		r.early.cancel()
		<-r.early.done
		r.early = nil
	}
}

// hashes are those of all voters at one revision. Those made early are used once: when they do not tell, all are made anew.
func (r *MemberRun) hashes(ctx context.Context) ([]MemberHash, error) {
	e := r.early
	if e == nil {
		return Hashes(ctx, r.Cluster)
	}
	if err := r.awaitHashes(ctx); err != nil {
		return nil, err
	}
	r.early = nil
	if e.revision == 0 {
		return Hashes(ctx, r.Cluster)
	}
	seen, err := r.Cluster.Observe(ctx)
	if err != nil {
		return nil, err
	}
	voters, err := liveVoters(seen)
	if err != nil {
		return nil, err
	}
	out, failed := make([]MemberHash, len(voters)), make([]error, len(voters))
	var asked sync.WaitGroup
	for i, m := range voters {
		if h, ok := e.hashes[m.ID]; ok {
			out[i] = h
			continue
		}
		asked.Go(func() { out[i], failed[i] = hashOf(ctx, r.Cluster, m, e.revision) })
	}
	asked.Wait()
	return out, errors.Join(failed...)
}

// CompareHashes judges the answers of all members: nil means that they hold the same.
func CompareHashes(hashes []MemberHash) error {
	if len(hashes) == 0 {
		return errors.New("no member answered")
	}
	first, same := hashes[0], true
	var all []string
	for _, h := range hashes {
		if h.Revision != first.Revision || h.CompactRevision != first.CompactRevision {
			return fmt.Errorf("%w: %s is compacted at %d, %s at %d", errIncomparable, first.Member, first.CompactRevision, h.Member, h.CompactRevision)
		}
		same = same && h.Hash == first.Hash
		all = append(all, fmt.Sprintf("%s %08x", h.Member, h.Hash))
	}
	if !same {
		return fmt.Errorf("%w at revision %d: %s", ErrDiffer, first.Revision, strings.Join(all, ", "))
	}
	return nil
}
