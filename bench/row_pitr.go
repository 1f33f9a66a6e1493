package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// replayed is how many changes the row about point-in-time recovery replays.
const replayed = 300_000

func pitrReplay() experiment {
	return experiment{
		name: "pitr-replay", title: "restore 300,000 changes behind a backup", rounds: 5,
		about: "`etcdops backup restore --to-revision` of an archive of 300,000 changes of 1 KiB behind an empty backup, from the start of the\n" +
			"program to the data directory that a member starts with, its hash compared. Peak memory counts pages of the database\n" +
			"file that are mapped: they are the kernel's cache.",
		sides: []string{sideOps}, metrics: []metric{{throughput, "change/s"}, {wallTime, "ms"}, {cpuTime, "ms"}, {peakMemory, "MB"}},
		bounds: []bound{atLeast(throughput, sideOps, 150_000)},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			n := l.scaled(replayed)
			dir, err := l.tempDir("archive")
			if err != nil {
				return nil, err
			}
			repo := filepath.Join(dir, "repo")
			last, err := l.archived(ctx, repo, dir, n)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, _ string) (sample, error) {
				dir, err := l.tempDir("restored")
				if err != nil {
					return nil, err
				}
				used, err := l.command(ctx, nil, l.bin.etcdops, "backup", "restore", "--quiet", "--repo", repo, "--to-revision", last, "--single",
					"--data-dir", filepath.Join(dir, "data"))
				if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
					return nil, err
				}
				s := sampleOf(used)
				s[throughput] = float64(n) / used.Wall.Seconds()
				return s, nil
			}, nil
		},
	}
}

// archived has etcdops follow a new cluster while n objects are written to it. It returns the newest revision.
func (l *lab) archived(ctx context.Context, repo, dir string, n int) (last string, err error) {
	c, err := l.newCluster(ctx, sideEtcd, 1)
	if err != nil {
		return "", err
	}
	m := c.members[0]
	if err := m.startReady(ctx, "--quota-backend-bytes", "8589934592"); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	ops := func(args ...string) error {
		_, err := l.command(ctx, nil, l.bin.etcdops, append([]string{"--endpoints", m.client, "backup"}, args...)...)
		return err
	}
	archiver := &member{
		args: []string{l.bin.etcdops, "--endpoints", m.client, "backup", "archive", "--elect=false", "--repo", repo}, env: l.env, log: filepath.Join(dir, "log"),
	}
	if err := archiver.start(ctx, "--hash-every", "0", "--seal-after", "1s"); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, archiver.end()) }()
	began := func() (bool, error) { return ops("status", "--quiet", "--repo", repo) == nil, nil } // with a base of the empty cluster
	if err := until(ctx, "the archive begins", began); err != nil {
		return "", archiver.failed(err)
	}
	if err := fill(ctx, m.client, n); err != nil {
		return "", err
	}
	last = strconv.Itoa((n+txnOps-1)/txnOps + 1) // an empty cluster is at revision 1
	reached := func() (bool, error) {
		return ops("restore", "--quiet", "--repo", repo, "--to-revision", last, "--single", "--data-dir", filepath.Join(dir, "none"), "--dry-run") == nil, nil
	}
	if err := until(ctx, "the archive reaches revision "+last, reached); err != nil {
		return "", archiver.failed(err)
	}
	return last, nil
}
