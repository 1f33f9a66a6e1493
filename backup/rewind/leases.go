package rewind

import (
	"context"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/ops"
)

// CodeLeaseMissing says that keys hang on leases that are not in the file, and the policy is to refuse that.
const CodeLeaseMissing ops.Code = "ETO-4157"

const bucketLease = "lease"

// leased is a key's newest entry that has a lease.
type leased struct {
	revision []byte // key of the entry
	lease    int64
}

// Leases mends what going back leaves of leases: a lease that ended after the revision is not in the file, while keys of
// that revision hang on it. ttl gives the time to live of a lease that is made again, in seconds; it may not be told by the
// file. The IDs of the missing leases are returned, in order.
func Leases(ctx context.Context, db *bolt.DB, policy Policy, ttl func(id int64) int64) ([]int64, error) {
	missing := map[int64][]leased{}
	err := db.View(func(tx *bolt.Tx) error {
		keys, err := leasedKeys(ctx, tx)
		if err != nil {
			return err
		}
		granted := tx.Bucket([]byte(bucketLease))
		for _, k := range keys {
			if granted == nil || granted.Get(leaseKey(k.lease)) == nil {
				missing[k.lease] = append(missing[k.lease], k)
			}
		}
		return nil
	})
	ids := make([]int64, 0, len(missing))
	for id := range missing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if err != nil || len(ids) == 0 {
		return ids, err
	}
	switch policy {
	case Regrant:
		return ids, regrant(db, ids, ttl)
	case Strip:
		return ids, strip(db, missing)
	case Fail:
	}
	return ids, &ops.HintError{
		Code: CodeLeaseMissing, Class: ops.ClassRefused, Op: "go back in", Member: db.Path(),
		Err:  fmt.Errorf("%d leases that keys hang on ended since then, the first is %x", len(ids), ids[0]),
		Hint: "--leases regrant makes them again; --leases strip keeps the keys without them",
	}
}

// leasedKeys finds the keys that exist and hang on a lease.
func leasedKeys(ctx context.Context, tx *bolt.Tx) (map[string]leased, error) {
	out := map[string]leased{}
	cursor := tx.Bucket([]byte(bucketKey)).Cursor()
	n := 0
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rev, err := dbfile.ParseRevision(k)
		if err != nil {
			return nil, err
		}
		kv, err := dbfile.ParseKV(v)
		if err != nil {
			return nil, err
		}
		switch {
		case !rev.Tombstone && kv.Lease != 0:
			out[string(kv.Key)] = leased{slices.Clone(k), kv.Lease}
		case len(out) > 0:
			delete(out, string(kv.Key))
		}
	}
	return out, nil
}

// regrant makes leases.
func regrant(db *bolt.DB, ids []int64, ttl func(int64) int64) error {
	return db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(bucketLease))
		if err != nil {
			return err
		}
		for _, id := range ids {
			value, err := proto.Marshal(&leasepb.Lease{ID: id, TTL: ttl(id)})
			if err != nil {
				return err
			}
			if err := bucket.Put(leaseKey(id), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// strip takes the lease off entries.
func strip(db *bolt.DB, missing map[int64][]leased) error {
	return db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(bucketKey))
		for _, keys := range missing {
			for _, k := range keys {
				var kv mvccpb.KeyValue
				if err := proto.Unmarshal(bucket.Get(k.revision), &kv); err != nil {
					return err
				}
				kv.Lease = 0
				value, err := proto.Marshal(&kv)
				if err != nil {
					return err
				}
				if err := bucket.Put(k.revision, value); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
