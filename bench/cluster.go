package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// cluster is members of one side on data of their own.
type cluster struct {
	dir     string
	members []*member
}

// startCluster starts n members of a side on fresh data, at once, and waits until each is ready.
func (l *lab) startCluster(ctx context.Context, side string, n int, flags ...string) (*cluster, error) {
	c, err := l.newCluster(ctx, side, n)
	if err != nil {
		return nil, err
	}
	for _, m := range c.members {
		err = errors.Join(err, m.start(ctx, flags...))
	}
	for _, m := range c.members {
		if err == nil {
			err = m.waitReady(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// newCluster lays out members that are not started.
func (l *lab) newCluster(ctx context.Context, side string, n int) (*cluster, error) {
	program, env, err := l.server(side)
	if err != nil {
		return nil, err
	}
	dir, err := l.tempDir("cluster")
	if err != nil {
		return nil, err
	}
	urls, err := freeURLs(ctx, 2*n) // two a member: for clients, for peers
	if err != nil {
		return nil, err
	}
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("m%d=%s", i+1, urls[2*i+1]))
	}
	c := &cluster{dir: dir}
	for i := range n {
		name, client, peer := fmt.Sprintf("m%d", i+1), urls[2*i], urls[2*i+1]
		flags := []string{
			"--name", name, "--data-dir", filepath.Join(dir, name),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", filepath.Base(dir),
		}
		c.members = append(c.members, &member{
			client: client, args: slices.Concat(program, flags), env: slices.Concat(l.env, env), log: filepath.Join(dir, name+".log"),
		})
	}
	return c, nil
}

// server returns the program of a side's datastore, its first arguments, and what it needs in its environment.
func (l *lab) server(side string) (program, env []string, err error) {
	switch side {
	case sideEtcd:
		return []string{l.bin.etcd}, nil, nil
	case sideOps:
		return []string{l.bin.etcdops, "serve"}, nil, nil
	case sideOpsSameGC:
		return []string{l.bin.etcdops, "serve"}, []string{"GOGC=100"}, nil
	}
	return nil, nil, fmt.Errorf("no datastore of side %q", side)
}

// stop kills the members, whose data is of no more use and removed: in order, three would wait seconds for each other.
func (c *cluster) stop() error {
	var errs []error
	for _, m := range c.members {
		if m.process == nil {
			continue
		}
		if err := m.process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		<-m.done
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// cpu returns what the stopped members used of the processors from their start to their end.
func (c *cluster) cpu() time.Duration {
	var sum time.Duration
	for _, m := range c.members {
		sum += m.ended.UserTime() + m.ended.SystemTime()
	}
	return sum
}

// leader returns the client URL of the leader.
func (c *cluster) leader(ctx context.Context) (string, error) {
	for _, m := range c.members {
		client, err := connect(m.client)
		if err != nil {
			return "", err
		}
		status, err := client.Status(ctx, m.client)
		if err := errors.Join(err, client.Close()); err != nil {
			return "", err
		}
		if status.Leader == status.Header.MemberId {
			return m.client, nil
		}
	}
	return "", errors.New("no member says that it leads")
}

// endpoints returns the client URLs of all members.
func (c *cluster) endpoints() []string {
	var out []string
	for _, m := range c.members {
		out = append(out, m.client)
	}
	return out
}

// connect returns a client of one endpoint with a connection of its own.
func connect(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// freeURLs returns URLs on a loopback address that nobody else is likely to use, with ports that were free a moment ago.
func freeURLs(ctx context.Context, n int) ([]string, error) {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	var config net.ListenConfig
	urls := make([]string, n)
	for i := range urls {
		l, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		if err != nil { // only Linux has all of 127.0.0.0/8
			host = "127.0.0.1"
			l, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // only when all are found, so that none is found twice
		urls[i] = "http://" + l.Addr().String()
	}
	return urls, nil
}
