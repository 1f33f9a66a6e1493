package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// commitAll is longer than members keep entries out of their databases: whether a log must be replayed, which takes seconds, is
// not left to chance.
const commitAll = time.Second

// sideAtOnce joins two members at the same time.
const sideAtOnce = "etcdops, two at once"

func rebuildCluster() experiment {
	return experiment{
		name: "rebuild-cluster", title: "rebuild three members with 1 GiB of data", rounds: 3,
		about: "All members are killed. By hand: `etcdutl snapshot restore` of the first one's snap/db, the member started, the other two\n" +
			"added as learners one after the other and promoted when they have caught up (looked at every 0.1 s); what the log holds beyond\n" +
			"the database is lost. etcdops: `rebuild-cluster apply` of all three directories, with inspection, the replay of the log and the\n" +
			"comparison of hashes; with --at-once 2 the others join at the same time, which servers allow with max-learners 2. A client writes\n" +
			"50 values a second from the moment that the first member serves. The members are upstream's.",
		sides: []string{sideByHand, sideOps, sideAtOnce}, metrics: []metric{{wallTime, "ms"}, {peakMemory, "MB"}, {worstWrite, "ms"}, {failedWrites, "writes"}},
		bounds: []bound{
			atMost(wallTime, sideOps, 1).times(), atMost(wallTime, sideAtOnce, 0.85).times(),
			atMost(worstWrite, sideOps, 500), atMost(failedWrites, sideOps, 0), atMost(failedWrites, sideAtOnce, 0),
		},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			f, err := l.fleet(ctx)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				if err := f.clean(); err != nil {
					return nil, err
				}
				select {
				case <-time.After(commitAll):
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
				for _, n := range f.nodes() {
					if err := f.kill(ctx, n); err != nil {
						return nil, err
					}
				}
				stop, err := f.writes(ctx, f.nodes()[0])
				if err != nil {
					return nil, err
				}
				used, err := f.rebuild(ctx, side, f.nodes())
				s := stop()
				s[wallTime], s[peakMemory] = milliseconds(used.Wall), megabytes(used.Peak)
				return s, err
			}, nil
		},
	}
}

// rebuild makes one cluster of three again.
func (f *fleet) rebuild(ctx context.Context, side string, nodes []node) (usage, error) {
	if side != sideByHand {
		endpoints := strings.Join(f.c.endpoints(), ",") // else other clusters of this machine are found
		args := []string{"--endpoints", endpoints, "rebuild-cluster", "apply", "--yes", "--etcd-binary", f.l.bin.etcd}
		if side == sideAtOnce {
			args = append(args, "--at-once", "2")
		}
		for _, n := range nodes {
			args = append(args, "--via", n.name+"=process:"+f.specs[n.name])
		}
		return f.operate(ctx, args...)
	}
	start := time.Now()
	first, restored := nodes[0], nodes[0].data+".restored"
	initial := first.name + "=" + first.peer
	_, err := f.l.command(ctx, nil, f.l.bin.etcdutl, "snapshot", "restore", filepath.Join(first.data, "member", "snap", "db"), "--skip-hash-check",
		"--name", first.name, "--initial-cluster", initial, "--initial-advertise-peer-urls", first.peer, "--data-dir", restored)
	if err == nil {
		err = os.Rename(first.data, first.data+".old")
	}
	if err == nil {
		err = os.Rename(restored, first.data)
	}
	if err == nil {
		err = f.start(ctx, first, "--initial-cluster", initial)
	}
	if err == nil {
		err = until(ctx, first.name+" serves", func() (bool, error) {
			_, err := f.applied(ctx, first.client)
			return err == nil, nil
		})
	}
	for i := 1; i < len(nodes) && err == nil; i++ {
		err = f.handJoin(ctx, nodes[i], nodes[:i])
	}
	return usage{Wall: time.Since(start)}, err
}

func inspectDirectory() experiment {
	return experiment{
		name: "inspect", title: "inspect a data directory of 1 GiB that is not in memory", rounds: 5,
		about: "`sha256sum` of all files of a stopped member's directory, and `etcdops inspect` of it. The files' pages are dropped from the\n" +
			"page cache before each run. Peak memory contains the pages of the database file that are mapped.",
		sides: []string{sideSHA256Sum, sideOps}, metrics: backupMetrics(),
		bounds: []bound{atMost(wallTime, sideOps, 2).times()},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			f, err := l.fleet(ctx)
			if err != nil {
				return nil, err
			}
			for _, n := range f.nodes() {
				if err := f.kill(ctx, n); err != nil {
					return nil, err
				}
			}
			data := f.nodes()[1].data
			return func(ctx context.Context, side string) (sample, error) {
				files, err := filesOf(data)
				for _, file := range files {
					err = errors.Join(err, dropCache(file))
				}
				if err != nil {
					return nil, err
				}
				program, args := "sha256sum", files
				if side == sideOps {
					program, args = l.bin.etcdops, []string{"inspect", data}
				}
				used, err := l.command(ctx, nil, program, args...)
				return sampleOf(used), err
			}, nil
		},
	}
}

// filesOf lists the regular files of a directory and those below it.
func filesOf(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	})
	return out, err
}
