package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// What the row about backups inside serve adds to the metrics.
const (
	idleP99  = "p99 idle"
	p99Times = "p99 / idle"
)

// idleTime is how long the latency of puts is measured before anything else goes on.
const idleTime = 10 * time.Second

func backupServe() experiment {
	return experiment{
		name: "backup-serve", title: "a backup inside serve, while 200 values a second are put", rounds: 5,
		about: "`etcdctl snapshot save` from upstream's server beside `etcdops serve --backup-schedule` with its defaults (50 MB/s), which reads,\n" +
			"verifies, compresses and stores its own database of 1,000,000 objects. CPU time is that of client and server together, without\n" +
			"what the puts alone take of the server. p99 is that of puts meanwhile, each counted from when it was due.",
		sides: []string{sideEtcdctl, sideOps},
		metrics: []metric{
			{wallTime, "ms"}, {cpuTime, "ms"}, {p99, "ms"}, {idleP99, "ms"}, {p99Times, "times"},
		},
		bounds: []bound{atMost(cpuTime, sideOps, 0.25).times(), atMost(p99, sideOps, 1).times(), atMost(p99Times, sideOps, 3)},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			own, err := l.filled(ctx, sideOps)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				if side == sideOps {
					return l.measureServeBackup(ctx, own)
				}
				m, err := l.objects(ctx)
				if err != nil {
					return nil, err
				}
				return l.measureSaveUnderLoad(ctx, m)
			}, nil
		},
	}
}

// measureSaveUnderLoad saves a snapshot of a member that is written to.
func (l *lab) measureSaveUnderLoad(ctx context.Context, m *member) (sample, error) {
	dir, err := l.tempDir("save")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	idle, err := underPuts(ctx, m, waitFor(idleTime))
	if err != nil {
		return nil, err
	}
	var client usage
	busy, err := underPuts(ctx, m, func(ctx context.Context) (err error) {
		client, err = l.command(ctx, nil, l.bin.etcdctl, "--endpoints", m.client, "snapshot", "save", filepath.Join(dir, "snapshot.db"))
		return err
	})
	return busy.against(idle, client.CPU), err
}

// measureServeBackup has a member take backups one after the other, and measures the second, from the first one's end to its own.
func (l *lab) measureServeBackup(ctx context.Context, m *member) (_ sample, err error) {
	dir, err := l.tempDir("backups")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := m.startReady(ctx, largeQuota...); err != nil {
		return nil, err
	}
	idle, err := underPuts(ctx, m, waitFor(idleTime))
	if err := errors.Join(err, m.end()); err != nil {
		return nil, err
	}
	repo := filepath.Join(dir, "repo")
	if err := m.startReady(ctx, slices.Concat(largeQuota, []string{
		"--backup-schedule", "@every 1s", "--backup-repo", repo, "--backup-spool", filepath.Join(dir, "spool"),
	})...); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	if err := backupsTaken(repo, 1)(ctx); err != nil {
		return nil, m.failed(err)
	}
	busy, err := underPuts(ctx, m, backupsTaken(repo, 2))
	return busy.against(idle, 0), err
}

// waitFor is work that takes so long.
func waitFor(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// backupsTaken is work that ends when a repository has so many backups.
func backupsTaken(repo string, n int) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, fmt.Errorf("there are no %d backups", n))
		defer cancel()
		for {
			found, err := filepath.Glob(filepath.Join(repo, "c", "*", "base", "*", "manifest.json"))
			if err != nil || len(found) >= n {
				return err
			}
			if err := waitFor(10 * time.Millisecond)(ctx); err != nil {
				return err
			}
		}
	}
}

// strain is what a member did while it was written to.
type strain struct {
	wall, cpu time.Duration
	p99       float64 // of the puts, ms
}

// against makes a sample of a time with work and one without.
func (s strain) against(idle strain, client time.Duration) sample {
	puts := time.Duration(float64(idle.cpu) * float64(s.wall) / float64(max(idle.wall, 1)))
	return sample{
		wallTime: milliseconds(s.wall), cpuTime: milliseconds(s.cpu - puts + client),
		p99: s.p99, idleP99: idle.p99, p99Times: s.p99 / idle.p99,
	}
}

// underPuts puts 200 values a second for as long as some work takes, and one second at least.
func underPuts(ctx context.Context, m *member, work func(context.Context) error) (strain, error) {
	done := make(chan error, 1)
	before, err := usedCPU(m.process.Pid)
	if err != nil {
		return strain{}, err
	}
	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { done <- errors.Join(work(ctx), waitFor(time.Until(begin.Add(time.Second)))(ctx)) }()
	latencies, err := putSteadily(ctx, m.client, 200, done)
	if err != nil {
		return strain{}, err
	}
	wall := time.Since(begin)
	after, err := usedCPU(m.process.Pid)
	slices.Sort(latencies)
	return strain{wall: wall, cpu: after - before, p99: percentile(latencies, 99)}, err
}
