// Package elect lets one of several processes work at a time: they elect a leader through the cluster itself.
//
// An election cannot keep a leader that was paused from going on for a moment after it lost: what it writes must be safe
// all the same. Its token, the revision at which it won, grows from leader to leader and stands in what it writes.
package elect

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// Prefix is where elections keep their keys, in the cluster that is backed up.
const Prefix = "/etcdops/elect/"

// ErrLost says that another leads now, or that the cluster cannot tell.
var ErrLost = errors.New("the election was lost")

// ErrYielded says that the leadership was given up for the next one who waits; it is an ErrLost.
var ErrYielded = fmt.Errorf("left to the next one who waits: %w", ErrLost)

// Options name an election and who takes part.
type Options struct {
	Client *clientv3.Client
	Name   string        // of the election
	ID     string        // of this process, for people
	TTL    time.Duration // after which a silent leader is replaced; default 15 s
}

// resignLimit is how long the end of a leadership may take; the lease ends it otherwise.
const resignLimit = 3 * time.Second

// Candidates is how many take part in an election, the leader among them. One that was killed counts until its lease ends.
func Candidates(ctx context.Context, client *clientv3.Client, name string) (int64, error) {
	resp, err := client.Get(ctx, Prefix+name+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return resp.Count, nil
}

// Lead waits to be elected and then calls work once, whose context ends with ErrLost when the leadership is lost. It
// returns what work returned.
func Lead(ctx context.Context, o Options, work func(ctx context.Context, token int64) error) error {
	if o.TTL <= 0 {
		o.TTL = 15 * time.Second
	}
	session, err := concurrency.NewSession(o.Client, concurrency.WithTTL(int(o.TTL.Seconds())), concurrency.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("take part in the election: %w", err)
	}
	election := concurrency.NewElection(session, Prefix+o.Name)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignLimit)
		defer cancel()
		_ = election.Resign(ctx) // the lease ends it otherwise
		_, _ = o.Client.Revoke(ctx, session.Lease())
	}()
	campaign, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-session.Done():
			stop(ErrLost)
		case <-campaign.Done():
		}
	}()
	if err := election.Campaign(campaign, o.ID); err != nil {
		if cause := context.Cause(campaign); cause != nil {
			err = cause
		}
		return fmt.Errorf("wait to be elected: %w", err)
	}
	return work(campaign, election.Rev())
}
