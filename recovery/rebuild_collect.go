package recovery

import (
	"cmp"
	"context"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// Inspector reads a data directory or a snapshot; datadir.Sandbox is one.
type Inspector interface {
	Inspect(ctx context.Context, path string, opts datadir.Options) (datadir.Info, error)
}

// RebuildRequest is what CollectRebuild looks at.
type RebuildRequest struct {
	Sources  []Source
	Nodes    []RebuildNode
	Servers  []Server            // on this machine
	Remote   map[string]Workshop // other machines, by "ssh:HOST"
	Settings ops.Config          // how to reach members that may still work; its endpoints are asked besides those in the data
}

// RebuildNode is the machine of a member of the new cluster.
type RebuildNode struct {
	Name string
	Via  string // as it is typed, for a run that resumes
	Node Node
}

// How long a member may take to answer whether it works: for a plan, which is made once and must not take a busy cluster for a
// dead one, and before each step of it.
const (
	planBound   = 5 * time.Second
	answerBound = time.Second
)

// CollectRebuild inspects all sources and asks whether anybody of the old cluster still works. It changes nothing. What
// cannot be inspected is told in its candidate; the error is the end of ctx.
func CollectRebuild(ctx context.Context, here Inspector, req RebuildRequest) (RebuildFacts, error) {
	inspector := inspectors{here, req.Remote}
	facts := RebuildFacts{Candidates: make([]Candidate, len(req.Sources)), Servers: req.Servers, Answers: []string{}, Secret: []string{}}
	facts.Nodes = lookAtNodes(ctx, req.Nodes)
	for i, s := range req.Sources { // a directory that is not named is where the member is started
		if n := facts.node(s.Name); s.Path == "" && n != nil && n.Survey != nil && len(n.Survey.Dirs) > 0 {
			req.Sources[i].Path = n.Survey.Dirs[0].Path
			if machineOf(n.Via) != "" {
				req.Sources[i].Via = n.Via
			}
			if len(n.Survey.Dirs) > 1 {
				req.Sources[i].WALDir = n.Survey.Dirs[1].Path
			}
		}
	}
	each(req.Sources, func(i int, s Source) { facts.Candidates[i] = inspectSource(ctx, inspector, s) })
	facts.compare(ctx, inspector)
	if err := facts.askMembers(ctx, req.Settings); err != nil {
		return facts, err
	}
	facts.askServers(ctx, req)
	if ctx.Err() != nil {
		return facts, &ops.HintError{Class: ops.ClassInterrupted, Op: "inspect", Err: context.Cause(ctx)}
	}
	return facts, nil
}

// each calls do for all items, two at a time: more would compete for the disk.
func each[T any](items []T, do func(i int, item T)) {
	turn := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			do(i, item)
		})
	}
	wg.Wait()
}

// inspectors read a source where it is.
type inspectors struct {
	here   Inspector
	remote map[string]Workshop
}

func (i inspectors) inspect(ctx context.Context, s Source, opts datadir.Options) (datadir.Info, error) {
	opts.WALDir, opts.Verified = s.WALDir, s.Backup != ""
	machine := machineOf(s.Via)
	if machine == "" {
		return i.here.Inspect(ctx, s.Path, opts)
	}
	shop, err := at(nil, i.remote, machine)
	if err != nil {
		return datadir.Info{}, err
	}
	return shop.Inspect(ctx, s.Path, opts)
}

func inspectSource(ctx context.Context, inspector inspectors, s Source) Candidate {
	c := Candidate{Source: s}
	if s.Path == "" {
		c.Problem = "its directory is not known: --from " + s.Name + "=DIR"
		return c
	}
	info, err := inspector.inspect(ctx, s, datadir.Options{})
	if err != nil {
		c.Problem = err.Error()
		c.Name = cmp.Or(c.Name, filepath.Base(s.Path))
		return c
	}
	c.Info = &info
	if c.Name == "" {
		c.Name = cmp.Or(info.Name, filepath.Base(s.Path))
	}
	return c
}

// compare computes the checksum of every database at the newest revision that all have, so that databases whose content
// differs are found. Those at that revision already need no second look.
func (f *RebuildFacts) compare(ctx context.Context, inspector inspectors) {
	common := int64(math.MaxInt64)
	for _, c := range f.Candidates {
		if c.hashed() {
			common = min(common, c.Info.DB.Revision)
		}
	}
	each(f.Candidates, func(i int, c Candidate) {
		switch {
		case !c.hashed() || c.Info.DB.CompactRevision > common:
			return
		case c.Info.DB.Hash.Revision == common:
			f.Candidates[i].Common = c.Info.DB.Hash
			return
		}
		again, err := inspector.inspect(ctx, c.Source, datadir.Options{HashAt: common})
		if err == nil && again.DB != nil {
			f.Candidates[i].Common = again.DB.Hash
		}
	})
}

// hashed says whether the keys of a member's directory were read to the end.
func (c *Candidate) hashed() bool {
	return c.log() != nil && c.Info.DB != nil && c.Info.DB.Hash != nil && c.Info.State != datadir.StateDamaged
}

// askMembers asks the members that the sources and the settings name whether they work.
func (f *RebuildFacts) askMembers(ctx context.Context, settings ops.Config) error {
	endpoints := slices.Clone(settings.Endpoints)
	for _, c := range f.Candidates {
		if c.Info == nil {
			continue
		}
		for _, m := range c.Info.Members {
			endpoints = append(endpoints, m.ClientURLs...)
		}
	}
	slices.Sort(endpoints)
	endpoints = slices.Compact(endpoints)
	if len(endpoints) == 0 {
		return nil
	}
	settings.Endpoints = endpoints
	cluster, err := ops.Open(settings)
	if err != nil {
		return err // who cannot be asked is not dead
	}
	defer func() { _ = cluster.Close() }() // only asked
	for _, r := range answers(ctx, cluster, endpoints, planBound) {
		if f.foreign(r.cluster) {
			continue // another cluster, found under an old address or on this machine
		}
		if r.answers {
			f.Answers = append(f.Answers, r.endpoint)
		}
		if r.secret || r.strange && slices.Contains(f.clients(), r.endpoint) { // others may be of any cluster
			f.Secret = append(f.Secret, r.endpoint)
		}
		f.Quorum = f.Quorum || r.leader
	}
	return nil
}

// askServers lists what could replay a log on each machine: also the program that a member there is started with.
func (f *RebuildFacts) askServers(ctx context.Context, req RebuildRequest) {
	f.Servers = slices.Clone(f.Servers)
	for machine, shop := range req.Remote {
		found, err := shop.Servers(ctx)
		if err != nil {
			continue // without one there is a refusal where one is needed
		}
		for _, s := range found {
			s.Machine = machine
			f.Servers = append(f.Servers, s)
		}
	}
	for _, n := range f.Nodes {
		if s := n.Survey; s != nil && s.Program != "" && s.Version != "" {
			f.Servers = append(f.Servers, Server{Path: s.Program, Version: s.Version, Machine: machineOf(n.Via)})
		}
	}
}

// foreign tells whether a cluster is none of those that the sources are of.
func (f *RebuildFacts) foreign(id ops.ClusterID) bool {
	if id == 0 {
		return false
	}
	known := false
	for i := range f.Candidates {
		of := f.Candidates[i].cluster()
		if of == id {
			return false
		}
		known = known || of != 0
	}
	return known
}

// cluster is the cluster that a directory is of, or that a backup says it was taken of; 0 where nothing says.
func (c *Candidate) cluster() ops.ClusterID {
	if c.log() != nil {
		return c.Info.ClusterID
	}
	return c.Cluster
}

// reply is what an endpoint answered.
type reply struct {
	endpoint string
	answers  bool
	leader   bool // it follows a leader
	secret   bool // it does not say so to this user
	strange  bool // certificates keep us from asking it
	cluster  ops.ClusterID
}

// answers asks all endpoints at once.
func answers(ctx context.Context, cluster *ops.Cluster, endpoints []string, bound time.Duration) []reply {
	out := make([]reply, len(endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range endpoints {
		wg.Go(func() { out[i] = ask(ctx, cluster, endpoint, bound) })
	}
	wg.Wait()
	return out
}

// ask tells whether a member answers, and whether it has a leader.
func ask(ctx context.Context, cluster *ops.Cluster, endpoint string, bound time.Duration) reply {
	r := reply{endpoint: endpoint}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	conn, err := cluster.Conn(ctx, endpoint)
	if err != nil {
		r.secret, r.strange = denied(err), strangers(err)
		r.answers = r.secret
		return r
	}
	r.answers = true
	status, err := ops.ReadStatus(ctx, conn)
	if err == nil {
		r.leader, r.cluster = status.Leader != 0, status.ClusterID
	}
	r.secret = denied(cluster.Explain(ctx, "read status of", endpoint, err))
	return r
}

// denied says whether a member kept something from the user.
func denied(err error) bool {
	return slices.Contains([]ops.Code{ops.CodeUserNeeded, ops.CodeAuthFailed, ops.CodePermissionDenied, ops.CodeTokenInvalid}, ops.CodeOf(err))
}

// strangers reports a connection that the other side is there for, and that our certificates, or theirs, do not get through:
// what answers so is not dead.
func strangers(err error) bool {
	return slices.Contains([]ops.Code{
		ops.CodeUnknownAuthority, ops.CodeWrongName, ops.CodeServerExpired, ops.CodeServerNotYet, ops.CodeServerInvalid, ops.CodeTLSServer, ops.CodePlainServer,
		ops.CodeClientCertNeeded, ops.CodeClientCertRefused, ops.CodeClientCertExpired, ops.CodeKeyUsage, ops.CodeTLSOther,
	}, ops.CodeOf(err))
}

// lookAtNodes asks the drivers of the new cluster's members how these are started and what is in their directories.
func lookAtNodes(ctx context.Context, nodes []RebuildNode) []NodeFacts {
	out := make([]NodeFacts, len(nodes))
	each(nodes, func(i int, n RebuildNode) {
		f := NodeFacts{Name: n.Name, Via: n.Via}
		survey, err := n.Node.Survey(ctx)
		if err == nil {
			f.Survey = &survey
			var status NodeStatus
			if status, err = n.Node.Status(ctx); err == nil {
				f.Status = &status
			}
		}
		if err != nil {
			f.Error = err.Error()
		}
		out[i] = f
	})
	return out
}
