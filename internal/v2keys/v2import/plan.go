package v2import

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/v2keys"
	"github.com/etcdops/etcdops/ops"
)

// Plan is what an import would write.
type Plan struct {
	Files, Dirs int      // in the source
	WithTTL     int      // of the nodes to be written
	Expired     int      // in the source, with all below them: not written
	Present     int      // already in the target, as in the source
	Conflicts   []string // in the target with something else; at most MaxConflicts are listed
	Differ      int      // number of conflicts
	Write       []Node   // parents before their children
}

// MaxConflicts is how many conflicts a plan lists.
const MaxConflicts = 10

// minTTL is the least that a lease lasts, and more than the import takes to write a node.
const minTTL = 2

// MakePlan compares the source with the target.
func MakePlan(ctx context.Context, c *ops.Cluster, nodes []Node, progress Progress) (*Plan, error) {
	return makePlan(ctx, c, nodes, "compare", progress)
}

func makePlan(ctx context.Context, c *ops.Cluster, nodes []Node, stage string, progress Progress) (*Plan, error) {
	there, err := present(ctx, c, func(done int64) { progress(stage, done, 0) })
	if err != nil {
		return nil, err
	}
	return compare(nodes, there, time.Now()), nil
}

// compare is the plan for a target that holds certain nodes. It is pure.
func compare(nodes []Node, there map[string]v2keys.Node, now time.Time) *Plan {
	p := &Plan{}
	gone := map[string]bool{}
	for _, n := range nodes {
		if n.Dir {
			p.Dirs++
		} else {
			p.Files++
		}
		if gone[path.Dir(n.Path)] || !n.Expires.IsZero() && !n.Expires.After(now) {
			gone[n.Path] = true
			p.Expired++
			continue
		}
		switch old, exists := there[n.Path]; {
		case !exists:
			p.Write = append(p.Write, n)
			if !n.Expires.IsZero() {
				p.WithTTL++
			}
		case old.Dir == n.Dir && old.Value == n.Value && old.Expires == !n.Expires.IsZero():
			p.Present++
		default:
			p.Differ++
			if len(p.Conflicts) < MaxConflicts {
				p.Conflicts = append(p.Conflicts, n.Path)
			}
		}
	}
	return p
}

// pageKeys is how many keys are read or written at once; servers take 128 operations a transaction by default.
const (
	pageKeys  = 1000
	batchKeys = 100
)

// present reads the target's tree.
func present(ctx context.Context, c *ops.Cluster, progress func(done int64)) (map[string]v2keys.Node, error) {
	var read int64
	from, end := v2keys.Tree()
	options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageKeys)}
	there := map[string]v2keys.Node{}
	for {
		resp, err := c.Client().Get(ctx, from, options...)
		if err != nil {
			return nil, c.Explain(ctx, "read keys of", "", err)
		}
		for _, kv := range resp.Kvs {
			n, err := v2keys.Decode(kv)
			if err != nil {
				return nil, err
			}
			there[n.Path] = n
			from = string(kv.Key) + "\x00"
			read += int64(len(kv.Key) + len(kv.Value))
		}
		progress(read)
		if !resp.More {
			return there, nil
		}
		if len(options) == 2 {
			options = append(options, clientv3.WithRev(resp.Header.Revision))
		}
	}
}

// Refusal is the reason not to execute the plan, nil if there is none.
func (p *Plan) Refusal() error {
	if p.Differ == 0 {
		return nil
	}
	return &ops.HintError{
		Code: CodeConflict, Class: ops.ClassRefused, Op: "import keys",
		Err: fmt.Errorf("%d of the keys are in the target with something else, such as %s", p.Differ, p.Conflicts[0]),
		Hint: "look at both, then delete what is not wanted in the target: curl -X DELETE 'http://TARGET:2379/v2/keys" +
			p.Conflicts[0] + "'",
	}
}

// Execute writes what is missing, parents first, and never over anything.
func (p *Plan) Execute(ctx context.Context, c *ops.Cluster, progress Progress) error {
	var bytes, total int64
	for _, n := range p.Write {
		total += n.size()
	}
	for done := 0; done < len(p.Write); {
		batch := fitting(p.Write[done:min(done+batchKeys, len(p.Write))])
		if err := write(ctx, c, batch); err != nil {
			return stopped(err, done, len(p.Write))
		}
		done += len(batch)
		for _, n := range batch {
			bytes += n.size()
		}
		progress("write", bytes, total)
	}
	return nil
}

// size is about what a node takes.
func (n Node) size() int64 { return int64(len(n.Path) + len(n.Value)) }

// stopped is the error of an import that has written a part.
func stopped(err error, done, all int) error {
	if done == 0 || ops.CodeOf(err) == CodeConflict {
		return err
	}
	class := ops.ClassResumable
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Class == ops.ClassInterrupted {
		class = hint.Class
	}
	return &ops.HintError{
		Code: CodeStopped, Class: class, Op: "write keys",
		Err:  fmt.Errorf("stopped after %d of %d nodes: %w", done, all, err),
		Hint: "run the same command again: it goes on with what is missing",
	}
}

// maxBatch keeps a transaction below the size that servers take by default, 1.5 MiB.
const maxBatch = 1 << 20

// fitting is the beginning of a batch that one transaction can take: at least one node.
func fitting(batch []Node) []Node {
	size := 0
	for i, n := range batch {
		if size += int(n.size()); size > maxBatch && i > 0 {
			return batch[:i]
		}
	}
	return batch
}

// write writes some nodes in one transaction, provided that none of them is there.
func write(ctx context.Context, c *ops.Cluster, batch []Node) error {
	var guards []clientv3.Cmp
	var puts []clientv3.Op
	var leases []clientv3.LeaseID
	for _, n := range batch {
		key := v2keys.Key(n.Path)
		guards = append(guards, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		put := v2keys.Node{Path: n.Path, Dir: n.Dir, Value: n.Value}
		var options []clientv3.OpOption
		var ttl int64
		if !n.Expires.IsZero() {
			ttl = max(minTTL, int64(math.Ceil(time.Until(n.Expires).Seconds())))
			lease, err := c.Client().Grant(ctx, ttl)
			if err != nil {
				forget(ctx, c, leases)
				return c.Explain(ctx, "make lease on", "", err)
			}
			leases = append(leases, lease.ID)
			options = append(options, clientv3.WithLease(lease.ID))
		}
		puts = append(puts, clientv3.OpPut(key, put.Encode(n.Expires, ttl), options...))
	}
	resp, err := c.Client().Txn(ctx).If(guards...).Then(puts...).Commit()
	if err != nil { // it may have been carried out: the leases must stay
		return c.Explain(ctx, "write keys to", "", err)
	}
	if !resp.Succeeded {
		forget(ctx, c, leases)
		return &ops.HintError{
			Code: CodeConflict, Class: ops.ClassResumable, Op: "write keys",
			Err:  errors.New("one of them was made by somebody else since the plan"),
			Hint: "run the same command again: it goes on with what is missing",
		}
	}
	return nil
}

// forgetLimit bounds the removal of leases that hold nothing; if it fails they end by themselves.
const forgetLimit = 5 * time.Second

func forget(ctx context.Context, c *ops.Cluster, leases []clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetLimit)
	defer cancel()
	for _, id := range leases {
		_, _ = c.Client().Revoke(ctx, id)
	}
}

// Verify reads the target again and returns how many nodes are there as in the source; those whose time has come do not
// count.
func Verify(ctx context.Context, c *ops.Cluster, nodes []Node, progress Progress) (int, error) {
	again, err := makePlan(ctx, c, nodes, "verify", progress)
	if err != nil {
		return 0, err
	}
	if missing := len(again.Write) + again.Differ; missing > 0 {
		name := strings.Join(again.Conflicts, ", ")
		if len(again.Write) > 0 {
			name = again.Write[0].Path
		}
		return again.Present, &ops.HintError{
			Code: CodeConflict, Class: ops.ClassResumable, Op: "verify keys",
			Err:  fmt.Errorf("%d of the keys are not in the target as they are in the source, such as %s", missing, name),
			Hint: "if nobody writes there yet, run the same command again",
		}
	}
	return again.Present, nil
}

// Explanations are of this package's codes.
func Explanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeConflict), Title: "the target of an import holds other keys",
			Cause:  "A key of the old tree is in the target too, with another value, kind or lifetime. An import writes over nothing.",
			Danger: "None: what is there is untouched.",
			Fix:    []string{"compare the two keys", "delete what is not wanted in the target, or import before anybody writes there"},
		},
		{
			Code: string(CodeStopped), Title: "an import stopped half-way",
			Cause:  "The cluster refused a write or did not answer, or the import was interrupted.",
			Danger: "None: what was written is whole, the rest is missing. Applications that start now would not find it.",
			Fix:    []string{"run the same command again: it writes what is missing", "before that: etcdops health"},
		},
		{
			Code: string(CodeSource), Title: "the old cluster's keys cannot be read",
			Cause:  "It does not answer, or it answers no /v2/keys: etcd 3.4 and 3.5 do only with --enable-v2, 3.6 and later never.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"curl 'http://OLD:2379/v2/keys/' shows what it answers", "give the URL of a member that runs with --enable-v2"},
		},
		{
			Code: string(CodeDump), Title: "the file holds no tree of the old keys API",
			Cause:  "--from-dump wants what GET /v2/keys/?recursive=true has answered, or a snapshot of an old server: member/snap/*.snap.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"curl 'http://OLD:2379/v2/keys/?recursive=true&quorum=true' > FILE"},
		},
	}
}
