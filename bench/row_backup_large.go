package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The sides of the row about large databases: what is done with them.
const (
	sideCreate  = "create"
	sideVerify  = "verify"
	sideRestore = "restore"
)

const (
	largeValues = 4608    // that make a database of more than 4 GiB
	largeValue  = 1 << 20 // bytes
)

func backupLarge() experiment {
	return experiment{
		name: "backup-large", title: "back up 4.5 GiB, verify it and restore it", rounds: 1,
		about: "`etcdops backup create --passphrase-file` of a database of 4,608 values of 1 MiB, `backup verify --level 3` of what came, and\n" +
			"`backup restore` of it. How much memory the first two take must not depend on how large the database is. The restore maps the file:\n" +
			"its peak counts pages that the kernel has in its cache and takes back. One round: it is not time that is judged.",
		sides: []string{sideCreate, sideVerify, sideRestore}, metrics: backupMetrics(),
		bounds: []bound{atMost(peakMemory, sideCreate, 256), atMost(peakMemory, sideVerify, 256)},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			m, err := l.large(ctx)
			if err != nil {
				return nil, err
			}
			phrase, repo := filepath.Join(l.dir, "passphrase-large"), filepath.Join(l.dir, "large")
			if err := os.WriteFile(phrase, []byte("for measurements only\n"), 0o600); err != nil {
				return nil, err
			}
			common := []string{"--quiet", "--passphrase-file", phrase, "--repo", repo}
			create := slices.Concat([]string{"--endpoints", m.client, "backup", "create", "--spool", filepath.Join(l.dir, "spool-large")}, common)
			return func(ctx context.Context, side string) (sample, error) {
				if err := l.once(ctx, repo, side == sideCreate, create); err != nil {
					return nil, err
				}
				data, err := l.tempDir("restored")
				if err != nil {
					return nil, err
				}
				used, err := l.command(ctx, nil, l.bin.etcdops, map[string][]string{
					sideCreate:  create,
					sideVerify:  slices.Concat([]string{"backup", "verify", "--level", "3", "--spool", filepath.Join(l.dir, "spool-large")}, common),
					sideRestore: slices.Concat([]string{"backup", "restore", "latest", "--single", "--data-dir", filepath.Join(data, "data")}, common),
				}[side]...)
				return sampleOf(used), errors.Join(err, os.RemoveAll(data))
			}, nil
		},
	}
}

// once makes sure that a repository has one backup; none when it is to be made anew.
func (l *lab) once(ctx context.Context, repo string, anew bool, create []string) error {
	if anew {
		return os.RemoveAll(repo)
	}
	if _, err := os.Stat(filepath.Join(repo, "repo.json")); err == nil {
		return nil
	}
	_, err := l.command(ctx, nil, l.bin.etcdops, create...)
	return err
}

// large returns a member that holds large values of objects' text, until the lab is closed.
func (l *lab) large(ctx context.Context) (*member, error) {
	c, err := l.newCluster(ctx, sideEtcd, 1)
	if err != nil {
		return nil, err
	}
	l.defers(c.stop)
	m, n := c.members[0], l.scaled(largeValues)
	fmt.Fprintln(l.log, "write", n, "large values")
	if err := m.startReady(ctx, slices.Concat(largeQuota, []string{"--snapshot-count", "100", "--snapshot-catchup-entries", "10", "--max-wals", "2"})...); err != nil {
		return nil, err
	}
	client, err := connect(m.client)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }() // every answer has been read
	for i := range n {
		var value strings.Builder
		for object := i * largeValue / objectSize; value.Len() < largeValue; object++ {
			value.WriteString(objectValue(object))
		}
		if _, err := client.Put(ctx, fmt.Sprintf("/large/%05d", i), value.String()); err != nil {
			return nil, fmt.Errorf("write large values: %w", err)
		}
	}
	return m, nil
}
