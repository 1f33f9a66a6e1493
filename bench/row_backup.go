package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// The sides of the rows about backups, besides etcdctl and etcdops.
const (
	sideEtcdutl   = "etcdutl"
	sideSHA256Sum = "sha256sum"
)

// backupMetrics are what commands on files and snapshots take.
func backupMetrics() []metric {
	return []metric{{wallTime, "ms"}, {cpuTime, "ms"}, {peakMemory, "MB"}}
}

func backupCreate() experiment {
	return experiment{
		name: "backup-create", title: "take a backup of 1,000,000 objects", rounds: 5,
		about: "`etcdctl snapshot save` beside `etcdops backup create --passphrase-file`, which verifies, compresses and encrypts what it\n" +
			"saves. The member shares the machine's cores with its client.",
		sides: []string{sideEtcdctl, sideOps}, metrics: backupMetrics(),
		bounds: []bound{atMost(wallTime, sideOps, 1.05).times(), atMost(peakMemory, sideOps, 256)},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			m, err := l.objects(ctx)
			if err != nil {
				return nil, err
			}
			phrase := filepath.Join(l.dir, "passphrase")
			if err := os.WriteFile(phrase, []byte("for measurements only\n"), 0o600); err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				dir, err := l.tempDir("backup")
				if err != nil {
					return nil, err
				}
				args := []string{"--endpoints", m.client, "snapshot", "save", filepath.Join(dir, "snapshot.db")}
				if side == sideOps {
					args = []string{
						"--endpoints", m.client, "backup", "create", "--quiet", "--passphrase-file", phrase,
						"--repo", filepath.Join(dir, "repo"), "--spool", filepath.Join(dir, "spool"),
					}
				}
				used, err := l.command(ctx, nil, l.client(side), args...)
				return sampleOf(used), errors.Join(err, os.RemoveAll(dir))
			}, nil
		},
	}
}

func snapshotSave() experiment {
	return experiment{
		name: "snapshot-save", title: "save a snapshot of 1,000,000 objects", rounds: 5,
		about: "`snapshot save` of both. etcdops compares the SHA-256 too, and syncs the directory.",
		sides: []string{sideEtcdctl, sideOps}, metrics: backupMetrics(),
		bounds: []bound{atMost(wallTime, sideOps, 1.05).times(), atMost(cpuTime, sideOps, 0.75).times()},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			m, err := l.objects(ctx)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				dir, err := l.tempDir("save")
				if err != nil {
					return nil, err
				}
				used, err := l.command(ctx, nil, l.client(side), "--endpoints", m.client, "snapshot", "save", filepath.Join(dir, "snapshot.db"))
				return sampleOf(used), errors.Join(err, os.RemoveAll(dir))
			}, nil
		},
	}
}

func snapshotStatus() experiment {
	e := statusOf(func(string) error { return nil })
	e.name, e.title = "snapshot-status", "status of a snapshot of 1,000,000 objects"
	e.about = "`snapshot status` of both, the file in the page cache. Both read the whole database and check its structure."
	e.bounds = []bound{atMost(wallTime, sideOps, 0.333).times(), atMost(peakMemory, sideOps, 100)}
	return e
}

func snapshotStatusCold() experiment {
	e := statusOf(dropCache)
	e.name, e.title = "snapshot-status-cold", "status of a snapshot that is not in memory"
	e.about = "The same, with the file's pages dropped from the page cache before each run."
	e.bounds = []bound{atMost(wallTime, sideOps, 0.1).times(), atMost(peakMemory, sideOps, 100)}
	return e
}

// statusOf measures `snapshot status` after something was done to the file.
func statusOf(before func(path string) error) experiment {
	return experiment{
		sides: []string{sideEtcdutl, sideOps}, metrics: backupMetrics(), rounds: 5,
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			path, err := l.snapshot(ctx)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				if err := before(path); err != nil {
					return nil, err
				}
				used, err := l.command(ctx, nil, l.offline(side), "snapshot", "status", path)
				return sampleOf(used), err
			}, nil
		},
	}
}

func snapshotRestore() experiment {
	return experiment{
		name: "snapshot-restore", title: "restore a snapshot of 1,000,000 objects", rounds: 5,
		about: "`snapshot restore` of both into a new directory, the file in the page cache.",
		sides: []string{sideEtcdutl, sideOps}, metrics: backupMetrics(),
		bounds: []bound{atMost(wallTime, sideOps, 0.6).times()},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			path, err := l.snapshot(ctx)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				dir, err := l.tempDir("restore")
				if err != nil {
					return nil, err
				}
				used, err := l.command(ctx, nil, l.offline(side), "snapshot", "restore", path, "--data-dir", filepath.Join(dir, "data"))
				return sampleOf(used), errors.Join(err, os.RemoveAll(dir))
			}, nil
		},
	}
}

func backupVerify() experiment {
	return experiment{
		name: "backup-verify", title: "hash the parts of a backup", rounds: 7,
		about: "`sha256sum` of all parts of a backup of 1,000,000 objects beside `etcdops backup verify --level 1`, the files in the page\n" +
			"cache. A bound of 1.25 is four fifths of sha256sum's speed.",
		sides: []string{sideSHA256Sum, sideOps}, metrics: backupMetrics(),
		bounds: []bound{atMost(wallTime, sideOps, 1.25).times()},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			m, err := l.objects(ctx)
			if err != nil {
				return nil, err
			}
			repo := filepath.Join(l.dir, "verified")
			for range 4 { // one alone is over before the programs have started
				if _, err := l.command(ctx, nil, l.bin.etcdops, "--endpoints", m.client, "backup", "create", "--quiet", "--repo", repo); err != nil {
					return nil, err
				}
			}
			parts, err := filepath.Glob(filepath.Join(repo, "c", "*", "base", "*", "part.*"))
			if err != nil || len(parts) == 0 {
				return nil, errors.Join(err, errors.New("the backup has no parts: "+strconv.Itoa(len(parts))))
			}
			return func(ctx context.Context, side string) (sample, error) {
				program, args := "sha256sum", parts
				if side == sideOps {
					program, args = l.bin.etcdops, []string{"backup", "verify", "--level", "1", "--quiet", "--repo", repo}
				}
				used, err := l.command(ctx, nil, program, args...)
				return sampleOf(used), err
			}, nil
		},
	}
}

// snapshot saves the million objects to a file, once.
func (l *lab) snapshot(ctx context.Context) (string, error) {
	path := filepath.Join(l.dir, "million.db")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	m, err := l.objects(ctx)
	if err != nil {
		return "", err
	}
	_, err = l.command(ctx, nil, l.bin.etcdctl, "--endpoints", m.client, "snapshot", "save", path)
	return path, err
}

// offline is a side's program for files.
func (l *lab) offline(side string) string {
	if side == sideOps {
		return l.bin.etcdops
	}
	return l.bin.etcdutl
}

func sampleOf(used usage) sample {
	return sample{wallTime: milliseconds(used.Wall), cpuTime: milliseconds(used.CPU), peakMemory: megabytes(used.Peak)}
}
