package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
	"github.com/etcdops/etcdops/recovery/seed"
)

// fenceAction sees that a member of the old cluster is stopped and stays so.
type fenceAction struct{ rebuildBase }

// Done implements Action.
func (a *fenceAction) Done(ctx context.Context) (bool, error) {
	status, err := a.r.Nodes[a.step.Member].Status(ctx)
	return err == nil && status.Known && !status.Running && status.Masked, err
}

// Do implements Action.
func (a *fenceAction) Do(ctx context.Context, _ Tell) error {
	node := a.r.Nodes[a.step.Member]
	return errors.Join(node.Mask(ctx), node.Stop(ctx))
}

// The keys of the journal.
const (
	keyCopied   = "copied"   // []seed.Copied
	keyReplayed = "replayed" // HashProof
	keySeedID   = "new-cluster"
	keyServes   = "serves" // datadir.Hash: what the first member must serve
)

// copyAction copies the source's database.
type copyAction struct{ rebuildBase }

// Done implements Action.
func (a *copyAction) Done(ctx context.Context) (bool, error) {
	var copied []seed.Copied
	known, err := a.r.Journal.Get(keyCopied, &copied)
	if err != nil || !known || a.r.Journal.IsDone(StepSwitch+":"+a.r.host().Name) {
		return known, err
	}
	seen, err := a.look(ctx)
	return seen.Replica, err
}

// Do implements Action.
func (a *copyAction) Do(ctx context.Context, tell Tell) error {
	info, err := a.inspect(ctx)
	if err != nil {
		return err
	}
	made, err := a.stage(ctx, StageOrder{Stage: StageCopy, Info: info}, tell)
	if err != nil {
		return err
	}
	return a.r.Journal.Put(keyCopied, made.Copied)
}

// sealAction commits the copy's log.
type sealAction struct{ rebuildBase }

// Done implements Action.
func (a *sealAction) Done(ctx context.Context) (bool, error) {
	seen, err := a.look(ctx)
	return seen.Sealed, err
}

// Do implements Action.
func (a *sealAction) Do(ctx context.Context, tell Tell) error {
	info, err := a.inspect(ctx)
	if err != nil {
		return err
	}
	_, err = a.stage(ctx, StageOrder{Stage: StageSeal, Info: info, Last: a.r.plan().Seal}, tell)
	return err
}

// replayAction applies the log to the copy.
type replayAction struct{ rebuildBase }

// Done implements Action.
func (a *replayAction) Done(context.Context) (bool, error) {
	var proof HashProof
	return a.r.Journal.Get(keyReplayed, &proof)
}

// replayLimit is how long the server may take: its start alone takes some seconds a gigabyte.
const replayLimit = time.Hour

// Do implements Action.
func (a *replayAction) Do(ctx context.Context, tell Tell) error {
	p := a.r.plan()
	order := StageOrder{Stage: StageReplay, Last: p.Seal, Server: p.Server.Path, Target: &seed.Target{Name: a.r.host().Name}}
	made, err := a.stage(ctx, order, tell)
	switch {
	case err != nil:
		return err
	case made.Proof == nil:
		return errors.New("the other machine does not tell what the replayed database has")
	}
	return a.r.Journal.Put(keyReplayed, *made.Proof)
}

// proof is what the new directory must contain.
func (r *RebuildRun) proof() (HashProof, error) {
	if p := r.plan().Hash; p != nil {
		return *p, nil
	}
	var proof HashProof
	known, err := r.Journal.Get(keyReplayed, &proof)
	if err == nil && !known {
		err = errors.New("the journal does not tell what was replayed")
	}
	return proof, err
}

// restoreAction makes the new data directory.
type restoreAction struct{ rebuildBase }

// Done implements Action.
func (a *restoreAction) Done(ctx context.Context) (bool, error) {
	var id ops.ClusterID
	known, err := a.r.Journal.Get(keySeedID, &id)
	if err != nil || !known {
		return false, err
	}
	seen, err := a.look(ctx)
	return seen.Restored, err
}

// Do implements Action.
func (a *restoreAction) Do(ctx context.Context, tell Tell) error {
	p, host := a.r.plan(), a.r.host()
	proof, err := a.r.proof()
	if err != nil {
		return err
	}
	target := seed.Target{Name: host.Name, PeerURLs: host.PeerURLs, Token: p.Token, Bump: p.Bump, Checksum: p.Checksum, Shrink: p.Shrink}
	order := StageOrder{Stage: StageRestore, Target: &target, Proof: &proof}
	copied := a.r.Journal.Plan.has(StepCopy)
	if !copied { // the source itself is read
		if order.Info, err = a.inspect(ctx); err != nil {
			return err
		}
	}
	made, err := a.stage(ctx, order, tell)
	if err == nil && !copied {
		err = a.r.Journal.Put(keyCopied, made.Copied)
	}
	if err != nil {
		return err
	}
	if made.Serves == nil {
		return errors.New("the other machine does not tell what the new directory has")
	}
	return errors.Join(a.r.Journal.Put(keyServes, *made.Serves), a.r.Journal.Put(keySeedID, made.ClusterID))
}

// switchAction puts the new directory in the place of the old one.
type switchAction struct{ rebuildBase }

// Done implements Action.
func (a *switchAction) Done(ctx context.Context) (bool, error) {
	var id ops.ClusterID
	known, err := a.r.Journal.Get(keySeedID, &id)
	if err != nil || !known {
		return false, err
	}
	status, err := a.r.Nodes[a.step.Member].Status(ctx)
	if err != nil || status.ClusterID != id {
		return false, err
	}
	seen, err := a.look(ctx)
	return seen.Placed, err
}

// Do implements Action.
func (a *switchAction) Do(ctx context.Context, tell Tell) error {
	host, node := a.r.host(), a.r.Nodes[a.step.Member]
	var id ops.ClusterID
	if _, err := a.r.Journal.Get(keySeedID, &id); err != nil {
		return err
	}
	if err := a.setAside(ctx, node, id); err != nil {
		return err
	}
	_, err := a.stage(ctx, StageOrder{Stage: StagePlace, WALDir: host.WALDir, UID: host.UID, GID: host.GID}, tell)
	return err
}

// setAside sets the old directory aside, once: after that the directory may hold a part of the new one already.
func (a *switchAction) setAside(ctx context.Context, node Node, id ops.ClusterID) error {
	var asides []Aside
	known, err := a.r.Journal.Get("asides:"+a.step.Member, &asides)
	if err != nil || known {
		return err
	}
	status, err := node.Status(ctx)
	if err != nil {
		return err
	}
	if old := a.r.Journal.Plan.ClusterID; status.ClusterID != 0 && old != 0 && status.ClusterID != old && status.ClusterID != id {
		return refusef(CodeForeign, a.step.Member, "etcdops inspect "+a.r.host().DataDir, "its directory holds data of another cluster, %s", status.ClusterID)
	}
	asides, err = node.SetAside(ctx, a.r.Journal.Plan.Operation)
	if err != nil {
		return fmt.Errorf("on the machine of %s: %w", a.step.Member, err)
	}
	if asides == nil {
		asides = []Aside{}
	}
	return a.r.Journal.Put("asides:"+a.step.Member, asides)
}

// seedAction starts the first member and verifies what it serves.
type seedAction struct {
	rebuildBase
	verified bool
	looked   time.Time // at the machine
	downs    downs
}

// seedLimit is how long the first member may take to serve.
const seedLimit = 10 * time.Minute

// Done implements Action. What was verified must have been seen now.
func (a *seedAction) Done(ctx context.Context) (bool, error) {
	if a.verified || !a.r.Journal.Began(a.step.ID) {
		return a.verified, nil
	}
	status, err := a.r.Nodes[a.step.Member].Status(ctx)
	if err != nil || !status.Running {
		return false, err
	}
	return false, nil
}

// Do implements Action.
func (a *seedAction) Do(ctx context.Context, tell Tell) error {
	host, node := a.r.host(), a.r.Nodes[a.step.Member]
	var pairs []string
	for _, u := range host.PeerURLs {
		pairs = append(pairs, host.Name+"="+u)
	}
	err := node.Configure(ctx, []Setting{
		{Name: "name", Value: host.Name},
		{Name: "initial-cluster", Value: strings.Join(pairs, ",")},
		{Name: "initial-cluster-state", Value: "existing"},
		{Name: "initial-advertise-peer-urls", Value: strings.Join(host.PeerURLs, ",")},
		{Name: "initial-cluster-token", Value: a.r.plan().Token},
	})
	if err == nil {
		err = node.Unmask(ctx)
	}
	if err == nil {
		err = node.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", host.Name, err)
	}
	cluster, err := a.r.connect()
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // only asked
	limited, cancel := context.WithTimeoutCause(ctx, seedLimit, fmt.Errorf("%s did not serve within %v", host.Name, seedLimit))
	defer cancel()
	err = wait(limited, func(ctx context.Context) (bool, error) {
		tell(host.Name+" must serve", nil)
		return a.serves(ctx, cluster)
	})
	if err != nil {
		return err
	}
	return a.verify(ctx, cluster)
}

// serves reports whether the member leads its cluster of one; a member that ended is an error.
func (a *seedAction) serves(ctx context.Context, cluster *ops.Cluster) (bool, error) {
	for _, u := range a.r.host().ClientURLs {
		s, err := statusAt(ctx, cluster, u)
		if err == nil && s.Leader == s.MemberID && s.MemberID != 0 {
			return true, nil
		}
		if denied(err) || strangers(err) { // no waiting helps
			return false, err
		}
	}
	if time.Since(a.looked) < nodeEvery {
		return false, nil
	}
	a.looked = time.Now()
	status, err := a.r.Nodes[a.step.Member].Status(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // the wait has a limit, and the next look tries again
	}
	if a.downs.saw(status); a.downs.died() {
		return false, &ops.HintError{
			Code: CodeDied, Op: "start", Member: a.step.Member, Hint: "its log says why",
			Err: fmt.Errorf("it ended; its last words: %s", strings.Join(lastWords(status.LastLog), " | ")),
		}
	}
	return false, nil
}

// verify compares what the member serves with what was proven before.
func (a *seedAction) verify(ctx context.Context, cluster *ops.Cluster) error {
	url := a.r.host().ClientURLs[0]
	client, err := cluster.At(ctx, url)
	if err != nil {
		return err
	}
	list, err := client.MemberList(ctx)
	if err != nil {
		return cluster.Explain(ctx, "list members at", url, err)
	}
	members := ops.MembershipOf(list)
	var id ops.ClusterID
	if _, err := a.r.Journal.Get(keySeedID, &id); err != nil {
		return err
	}
	if len(members.Members) != 1 || ops.ClusterID(list.Header.ClusterId) != id {
		return fmt.Errorf("another cluster answers at %s: %s with %d members", url, ops.ClusterID(list.Header.ClusterId), len(members.Members))
	}
	if err := a.r.Journal.Put("id:"+a.step.Member, members.Members[0].ID); err != nil {
		return err
	}
	var want datadir.Hash
	if known, err := a.r.Journal.Get(keyServes, &want); err != nil || !known {
		return errors.Join(err, errNoProof)
	}
	hash, err := hashServed(ctx, client, url, want.Revision)
	switch {
	case errors.Is(err, errWritten):
		err = a.countServed(ctx, client, want.Revision)
	case err == nil && (hash.Hash != want.Hash || max(hash.CompactRevision, 0) != want.CompactRevision): // -1 says never
		return a.differs("hash %d at revision %d (compacted %d), not %d (compacted %d)", hash.Hash, want.Revision, hash.CompactRevision, want.Hash, want.CompactRevision)
	}
	if err != nil {
		return cluster.Explain(ctx, "ask for the hash at", url, err)
	}
	a.verified = true
	return nil
}

// differs is what stops a rebuild whose first member serves something else.
func (a *seedAction) differs(format string, args ...any) error {
	return &ops.HintError{
		Code: CodeDiffer, Class: ops.ClassCritical, Op: "verify", Member: a.step.Member, Hint: "etcdops inspect " + a.r.plan().Source.Path,
		Err: fmt.Errorf("it serves "+format, args...),
	}
}

// errWritten says that clients wrote before the hash of what was there could be had.
var errWritten = errors.New("clients have written already")

// hashServed asks for the hash at a revision. A server of 3.4 has none at the compact revision, only at the newest.
func hashServed(ctx context.Context, client *clientv3.Client, url string, revision int64) (*clientv3.HashKVResponse, error) {
	hash, err := client.HashKV(ctx, url, revision)
	if errors.Is(err, rpctypes.ErrCompacted) {
		if hash, err = client.HashKV(ctx, url, 0); err == nil && hash.Header.Revision != revision {
			err = errWritten
		}
	}
	return hash, err
}

// countServed compares the number of keys where their hash cannot be had any more.
func (a *seedAction) countServed(ctx context.Context, client *clientv3.Client, revision int64) error {
	proof, err := a.r.proof()
	if err != nil {
		return err
	}
	got, err := client.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(revision), clientv3.WithCountOnly())
	if err == nil && got.Count != proof.Keys {
		return a.differs("%d keys at revision %d, not %d", got.Count, revision, proof.Keys)
	}
	return err
}

// errNoProof is about a journal that this program did not write.
var errNoProof = errors.New("the journal does not tell what the new directory has: the same version of etcdops must resume that began")
