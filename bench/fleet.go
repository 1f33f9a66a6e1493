package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.yaml.in/yaml/v3"

	runs "github.com/etcdops/etcdops/internal/node/launch"
	"github.com/etcdops/etcdops/internal/node/process"
)

// fleet is three members of upstream's datastore that hold the objects, and may be killed and made anew: by hand with
// upstream's tools, or by etcdops, which starts them by the specifications.
type fleet struct {
	l     *lab
	c     *cluster
	specs map[string]string // a member's name to its specification
}

// node is one member as a script by hand knows it.
type node struct{ name, data, client, peer string }

// fleet returns the fleet, made for the first row that asks, whole and at work.
func (l *lab) fleet(ctx context.Context) (*fleet, error) {
	if l.three != nil {
		return l.three, nil
	}
	c, err := l.newCluster(ctx, sideEtcd, 3)
	if err != nil {
		return nil, err
	}
	f := &fleet{l: l, c: c, specs: map[string]string{}}
	l.defers(f.close)
	specs, err := l.tempDir("specs")
	if err != nil {
		return nil, err
	}
	for _, m := range c.members {
		// A short tail: what is measured is the transfer of a snapshot and not the replay of a log.
		m.args = append(m.args, "--quota-backend-bytes", "8589934592", "--snapshot-count", "1000", "--snapshot-catchup-entries", "10",
			"--max-learners", "2") // of which only the side that joins two members at once makes use
		n := f.node(m)
		spec, err := yaml.Marshal(process.Spec{Command: m.args, Env: []string{"HOME=" + l.dir}, Log: m.log})
		if err != nil {
			return nil, err
		}
		f.specs[n.name] = filepath.Join(specs, n.name+".yaml")
		if err := os.WriteFile(f.specs[n.name], spec, 0o600); err != nil {
			return nil, err
		}
		if err := m.start(ctx); err != nil {
			return nil, err
		}
	}
	for _, m := range c.members {
		if err := m.waitReady(ctx); err != nil {
			return nil, err
		}
	}
	objects := l.scaled(objectCount)
	fmt.Fprintln(l.log, "write", objects, "objects to three members")
	if err := fill(ctx, c.members[0].client, objects); err != nil {
		return nil, err
	}
	l.three = f
	return f, nil
}

// node reads what a member is started with.
func (f *fleet) node(m *member) node {
	flag := func(name string) string { return m.args[slices.Index(m.args, name)+1] }
	return node{name: flag("--name"), data: flag("--data-dir"), client: m.client, peer: flag("--initial-advertise-peer-urls")}
}

func (f *fleet) nodes() []node {
	var out []node
	for _, m := range f.c.members {
		out = append(out, f.node(m))
	}
	return out
}

// kill ends the process that runs on a member's directory, whoever started it.
func (f *fleet) kill(ctx context.Context, n node) error {
	pid := runs.Running(n.data, "")
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	// A process that ends has no command line any more while it still has its ports.
	return until(ctx, n.name+" has ended", func() (bool, error) { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil })
}

// close kills what runs and removes the data.
func (f *fleet) close() error {
	var errs []error
	for _, n := range f.nodes() {
		errs = append(errs, f.kill(context.Background(), n))
	}
	return errors.Join(append(errs, os.RemoveAll(f.c.dir))...)
}

// clean removes the directories that were set aside.
func (f *fleet) clean() error {
	for _, n := range f.nodes() {
		aside, err := filepath.Glob(n.data + ".*")
		if err != nil {
			return err
		}
		for _, path := range aside {
			if !strings.HasSuffix(path, ".log") {
				err = errors.Join(err, os.RemoveAll(path))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// start starts a member by hand, with what the script has to tell it.
func (f *fleet) start(ctx context.Context, n node, flags ...string) error {
	i := slices.IndexFunc(f.c.members, func(m *member) bool { return m.client == n.client })
	return f.c.members[i].start(ctx, flags...)
}

// ctl runs etcdctl and returns what it prints, as JSON where it can.
func (f *fleet) ctl(ctx context.Context, endpoints []string, args ...string) (map[string]any, error) {
	var out strings.Builder
	args = append([]string{"--endpoints", strings.Join(endpoints, ","), "-w", "json"}, args...)
	if _, err := f.l.command(ctx, &out, f.l.bin.etcdctl, args...); err != nil {
		return nil, err
	}
	var answer any
	dec := json.NewDecoder(strings.NewReader(out.String()))
	dec.UseNumber()
	if err := dec.Decode(&answer); err != nil {
		return nil, err
	}
	if list, ok := answer.([]any); ok && len(list) > 0 {
		answer = list[0]
	}
	object, _ := answer.(map[string]any)
	return object, nil
}

// handJoin makes a member anew as a script by hand does that waits for what must be waited for: as a learner, promoted
// when it has applied what the others had.
func (f *fleet) handJoin(ctx context.Context, n node, others []node) error {
	var endpoints, initial []string
	for _, o := range others {
		endpoints = append(endpoints, o.client)
		initial = append(initial, o.name+"="+o.peer)
	}
	initial = append(initial, n.name+"="+n.peer)
	if err := os.RemoveAll(n.data); err != nil {
		return err
	}
	var added map[string]any
	err := until(ctx, n.name+" is added", func() (bool, error) { // a server refuses it for seconds after a change
		var err error
		added, err = f.ctl(ctx, endpoints, "member", "add", n.name, "--learner", "--peer-urls", n.peer)
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	target, err := f.applied(ctx, endpoints[0])
	if err == nil {
		err = f.start(ctx, n, "--initial-cluster", strings.Join(initial, ","), "--initial-cluster-state", "existing")
	}
	if err != nil {
		return err
	}
	err = until(ctx, n.name+" has applied all", func() (bool, error) {
		have, err := f.applied(ctx, n.client)
		return err == nil && have >= target, nil
	})
	if err != nil {
		return err
	}
	id, err := added["member"].(map[string]any)["ID"].(json.Number).Int64()
	if err != nil { // above 2^63
		var u uint64
		_, err = fmt.Sscan(added["member"].(map[string]any)["ID"].(json.Number).String(), &u)
		id = int64(u) //nolint:gosec // printed in hexadecimal
	}
	if err != nil {
		return err
	}
	return until(ctx, n.name+" is promoted", func() (bool, error) {
		_, err := f.ctl(ctx, endpoints, "member", "promote", strconv.FormatUint(uint64(id), 16)) //nolint:gosec // the same bits
		return err == nil, nil
	})
}

// applied asks a member, by etcdctl, for the index that it has applied.
func (f *fleet) applied(ctx context.Context, endpoint string) (int64, error) {
	answer, err := f.ctl(ctx, []string{endpoint}, "endpoint", "status")
	if err != nil {
		return 0, err
	}
	status, _ := answer["Status"].(map[string]any)
	index, ok := status["raftAppliedIndex"].(json.Number)
	if !ok {
		return 0, fmt.Errorf("etcdctl endpoint status tells no applied index: %v", answer)
	}
	return index.Int64()
}

// leadBy makes a member the leader.
func (f *fleet) leadBy(ctx context.Context, n node) error {
	return until(ctx, n.name+" leads", func() (bool, error) {
		url, err := f.c.leader(ctx)
		if err != nil || url == n.client {
			return err == nil, nil // else an election: asked again
		}
		client, err := connect(url)
		if err != nil {
			return false, err
		}
		defer func() { _ = client.Close() }()
		status, err := statusOfMember(ctx, n.client)
		if err == nil {
			_, err = client.MoveLeader(ctx, status.Header.MemberId)
		}
		return false, err
	})
}

func statusOfMember(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error) {
	client, err := connect(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	return client.Status(ctx, endpoint)
}

// until polls every tenth of a second, as a careful script does.
func until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, measureWithin, fmt.Errorf("not seen that %s", what))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
