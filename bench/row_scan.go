package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func scanKeys() experiment {
	e := scan(toNowhere, "--keys-only")
	e.name, e.title, e.rounds = "scan-keys", "list 1,000,000 keys", 9
	e.about = "`get / --prefix --keys-only` of a million objects as Kubernetes keeps them, 1 KiB each, from one member of upstream's\n" +
		"datastore; the output is thrown away. Before the rounds, both outputs were compared byte for byte."
	e.bounds = []bound{atMost(wallTime, sideOps, 0.4).times(), atMost(peakMemory, sideOps, 0.125).times()}
	return e
}

// scanKeysFile is the same with somebody to keep the output: etcdctl writes twice a key, which costs nothing where it is
// thrown away.
func scanKeysFile() experiment {
	e := scan(toFile, "--keys-only")
	e.name, e.title, e.rounds = "scan-keys-file", "list 1,000,000 keys into a file", 9
	e.about = "The same, with the output redirected to a file, as `etcdops get / --prefix --keys-only > keys` does."
	e.bounds = []bound{atMost(wallTime, sideOps, 0.4).times(), atMost(peakMemory, sideOps, 0.125).times()}
	return e
}

func scanValues() experiment {
	e := scan(toNowhere)
	e.name, e.title, e.rounds = "scan-values", "list 1,000,000 keys with their values", 3
	e.about = "`get / --prefix` of the same objects; etcdctl is given the time that it needs with --command-timeout."
	e.bounds = []bound{atMost(peakMemory, sideOps, 64)}
	return e
}

// destination opens what a listing is written to; a nil file throws it away.
type destination func(l *lab) (*os.File, error)

func toNowhere(*lab) (*os.File, error) { return nil, nil } //nolint:nilnil // no file is what throws the output away

func toFile(l *lab) (*os.File, error) { return os.Create(filepath.Join(l.dir, "listing")) }

// scan compares what a listing of all objects takes.
func scan(to destination, flags ...string) experiment {
	return experiment{
		sides:   []string{sideEtcdctl, sideOps},
		metrics: []metric{{wallTime, "ms"}, {cpuTime, "ms"}, {peakMemory, "MB"}},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			m, err := l.objects(ctx)
			if err != nil {
				return nil, err
			}
			args := append([]string{"--endpoints", m.client, "--command-timeout", "120s", "get", "/", "--prefix"}, flags...)
			if err := l.sameOutput(ctx, []string{sideEtcdctl, sideOps}, args); err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				used, err := l.listing(ctx, to, side, args)
				if err == nil && used.Peak == 0 {
					err = errors.New("peak memory is measured on Linux only")
				}
				return sample{
					wallTime: milliseconds(used.Wall), cpuTime: milliseconds(used.CPU), peakMemory: megabytes(used.Peak),
				}, err
			}, nil
		},
	}
}

// listing runs a side's client with its output going where to says.
func (l *lab) listing(ctx context.Context, to destination, side string, args []string) (usage, error) {
	file, err := to(l)
	if err != nil {
		return usage{}, err
	}
	if file == nil {
		return l.command(ctx, nil, l.client(side), args...)
	}
	used, err := l.command(ctx, file, l.client(side), args...)
	return used, errors.Join(err, file.Close())
}

// sameOutput runs args with the client of each side and fails unless all wrote the same.
func (l *lab) sameOutput(ctx context.Context, sides, args []string) error {
	var first []byte
	for _, side := range sides {
		sum := sha256.New()
		if _, err := l.command(ctx, sum, l.client(side), args...); err != nil {
			return err
		}
		switch got := sum.Sum(nil); {
		case first == nil:
			first = got
		case string(got) != string(first):
			return fmt.Errorf("%q: %s wrote something else than %s: nothing to compare", args, side, sides[0])
		}
	}
	return nil
}
