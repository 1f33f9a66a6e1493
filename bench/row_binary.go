package main

import (
	"context"
	"os"
)

func versionWall() experiment {
	return experiment{
		name: "version", title: "the smallest command",
		about: "A whole run of `etcdctl version` and `etcdops version`, which is a program's start: ours holds the server too.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 1.8).times()},
		rounds: 200, warmups: 5,
		prepare: func(_ context.Context, l *lab) (measureFunc, error) {
			return func(ctx context.Context, side string) (sample, error) {
				used, err := l.command(ctx, nil, l.client(side), "version")
				return sample{wallTime: milliseconds(used.Wall)}, err
			}, nil
		},
	}
}

// client returns the program that is a side's client.
func (l *lab) client(side string) string {
	if side == sideOps {
		return l.bin.etcdops
	}
	return l.bin.etcdctl
}

func binarySize() experiment {
	const upstream, name = "etcd + etcdctl + etcdutl", "size"
	return experiment{
		name: "size", title: "size of the program",
		about: "Static and stripped, for this machine; upstream's three programs together, etcdops is all of them in one.",
		sides: []string{upstream, sideOps}, metrics: []metric{{name, "MB"}},
		bounds: []bound{atMost(name, sideOps, 40)},
		rounds: 1,
		prepare: func(_ context.Context, l *lab) (measureFunc, error) {
			return func(_ context.Context, side string) (sample, error) {
				files := []string{l.bin.etcd, l.bin.etcdctl, l.bin.etcdutl}
				if side == sideOps {
					files = []string{l.bin.etcdops}
				}
				var size int64
				for _, path := range files {
					file, err := os.Stat(path)
					if err != nil {
						return nil, err
					}
					size += file.Size()
				}
				return sample{name: megabytes(size)}, nil
			}, nil
		},
	}
}
