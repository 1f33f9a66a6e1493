package cmd

import (
	"context"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/daemon"
)

// followersLimit is how long the leader of raft waits for a follower that could take a backup: after a start of all members the
// first of them is elected before the others take part.
const followersLimit = 30 * time.Second

// yield says whether another candidate is to take a backup instead of this member. The leader of raft has every write of the
// cluster to do, so it leaves backups to a follower; once for each slot, because the next one may be unable to.
func (b *serveBackup) yield(ctx context.Context, log *slog.Logger, client *clientv3.Client, order daemon.Order, failed error) bool {
	if failed != nil {
		if !failsHere(failed) || !otherSchedulers(ctx, client) {
			return false
		}
		log.Info("another member is to try the backup", "slot", backup.SlotText(order.Slot))
		return true
	}
	if order.Slot.Equal(b.yielded) || !b.local.leads() || b.local.voters() == 1 {
		return false
	}
	b.yielded = order.Slot
	if !awaitSchedulers(ctx, client) {
		return false
	}
	log.Info("this member is the leader: a backup is left to a follower", "slot", backup.SlotText(order.Slot))
	return true
}

// awaitSchedulers waits a while for somebody else who can take backups.
func awaitSchedulers(ctx context.Context, client *clientv3.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, followersLimit)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if otherSchedulers(ctx, client) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
