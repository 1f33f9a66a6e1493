package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

func scanKeys() experiment {
	e := scan("--keys-only")
	e.name, e.title, e.rounds = "scan-keys", "list 1,000,000 keys", 9
	e.about = "`get / --prefix --keys-only` of a million objects as Kubernetes keeps them, 1 KiB each, from one member of upstream's\n" +
		"datastore; the output is thrown away. Before the rounds, both outputs were compared byte for byte."
	e.bounds = []bound{atMost(wallTime, sideOps, 0.4).times(), atMost(peakMemory, sideOps, 0.125).times()}
	return e
}

func scanValues() experiment {
	e := scan()
	e.name, e.title, e.rounds = "scan-values", "list 1,000,000 keys with their values", 3
	e.about = "`get / --prefix` of the same objects; etcdctl is given the time that it needs with --command-timeout."
	e.bounds = []bound{atMost(peakMemory, sideOps, 64)}
	return e
}

// scan compares what a listing of all objects takes.
func scan(flags ...string) experiment {
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
				used, err := l.command(ctx, nil, l.client(side), args...)
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
