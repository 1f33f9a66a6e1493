package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// sideByHand is a script of the commands that a careful operator types.
const sideByHand = "by hand"

const (
	worstWrite   = "slowest write meanwhile"
	failedWrites = "failed writes meanwhile"
)

func recoverMember() experiment {
	return experiment{
		name: "recover-member", title: "replace a member of three with 1 GiB of data", rounds: 3,
		about: "A follower is killed. By hand: `etcdctl member remove`, the directory deleted, `member add --learner`, the member started,\n" +
			"promoted when its applied index has caught up (looked at every 0.1 s). etcdops: `recover member --accept-risk=no-backup`,\n" +
			"which proves the quorum before each step, sets the directory aside and compares the hashes of all members at the end.\n" +
			"A client writes 50 values a second meanwhile. The members are upstream's.",
		sides: []string{sideByHand, sideOps}, metrics: []metric{{wallTime, "ms"}, {peakMemory, "MB"}, {worstWrite, "ms"}, {failedWrites, "writes"}},
		bounds: []bound{
			atMost(wallTime, sideOps, 1.1).times(), atMost(peakMemory, sideOps, 100), atMost(worstWrite, sideOps, 500), atMost(failedWrites, sideOps, 0),
		},
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			f, err := l.fleet(ctx)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				nodes := f.nodes()
				if err := errors.Join(f.clean(), f.leadBy(ctx, nodes[0])); err != nil {
					return nil, err
				}
				if err := f.kill(ctx, nodes[2]); err != nil {
					return nil, err
				}
				stop, err := f.writes(ctx, nodes[0])
				if err != nil {
					return nil, err
				}
				used, err := f.replace(ctx, side, nodes)
				s := stop()
				s[wallTime], s[peakMemory] = milliseconds(used.Wall), megabytes(used.Peak)
				return s, err
			}, nil
		},
	}
}

// replace makes the third member anew.
func (f *fleet) replace(ctx context.Context, side string, nodes []node) (usage, error) {
	target, others := nodes[2], nodes[:2]
	if side == sideOps {
		return f.operate(ctx, "--endpoints", nodes[0].client+","+nodes[1].client, "recover", "member", target.name,
			"--via", target.name+"=process:"+f.specs[target.name], "--accept-risk", "no-backup", "--yes")
	}
	start := time.Now()
	old, err := f.memberID(ctx, others[0], target.name)
	if err == nil {
		err = until(ctx, target.name+" is removed", func() (bool, error) { // refused for seconds after an election
			_, err := f.ctl(ctx, []string{others[0].client, others[1].client}, "member", "remove", old)
			return err == nil, nil
		})
	}
	if err == nil {
		err = f.handJoin(ctx, target, others)
	}
	return usage{Wall: time.Since(start)}, err
}

// operate runs an operation of etcdops and tells how long its steps took.
func (f *fleet) operate(ctx context.Context, args ...string) (usage, error) {
	state := filepath.Join(f.c.dir, "state")
	used, err := f.l.command(ctx, nil, f.l.bin.etcdops, append(args, "--state-dir", state)...)
	return used, errors.Join(err, tellSteps(f.l.log, state))
}

// memberID asks for a member's ID by its name.
func (f *fleet) memberID(ctx context.Context, ask node, name string) (string, error) {
	client, err := connect(ask.client)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	list, err := client.MemberList(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range list.Members {
		if m.Name == name {
			return strconv.FormatUint(m.ID, 16), nil
		}
	}
	return "", fmt.Errorf("no member %s", name)
}

// writes puts 50 values a second through a member until stop is called, which tells how that went from the first one on that
// is acknowledged.
func (f *fleet) writes(ctx context.Context, n node) (stop func() sample, err error) {
	client, err := connect(n.client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var worst time.Duration
	var failed float64
	var begun bool
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			began := time.Now()
			limit := time.Minute
			if !begun { // nobody serves yet
				limit = 200 * time.Millisecond
			}
			limited, end := context.WithTimeout(ctx, limit)
			_, err := client.Put(limited, fmt.Sprintf("meanwhile/%d", i%100), "v")
			end()
			if ctx.Err() != nil {
				return
			}
			if !begun {
				begun = err == nil
				continue
			}
			worst = max(worst, time.Since(began))
			if err != nil {
				failed++
			}
		}
	})
	return func() sample {
		cancel()
		done.Wait()
		_ = client.Close()
		return sample{worstWrite: milliseconds(worst), failedWrites: failed}
	}, nil
}
