package memberdir

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"github.com/etcdops/etcdops/backup/dbfile"
)

// openLimit is how long the lock of a database is waited for that nobody else knows of.
const openLimit = 5 * time.Second

// firstTerm is the term of the log that a new cluster begins with.
const firstTerm = 1

// edit makes the database one of the new cluster: its members, the place in its log, no alarms, and, where wanted, a
// higher revision. One transaction does it.
func edit(path string, members []*membership.Member, bump uint64) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: openLimit, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoSync: true,
	})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"members", "members_removed", "alarm"} {
			if err := empty(tx, name); err != nil {
				return err
			}
		}
		if err := putMembers(tx.Bucket([]byte("members")), members); err != nil {
			return err
		}
		meta, err := tx.CreateBucketIfNotExists([]byte("meta"))
		if err != nil {
			return err
		}
		number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
		err = errors.Join(
			meta.Put([]byte("consistent_index"), number(uint64(len(members)))),
			meta.Put([]byte("term"), number(firstTerm)),
		)
		if err == nil && bump > 0 {
			err = raise(tx, meta, bump)
		}
		return err
	})
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

// empty makes a bucket that has nothing in it.
func empty(tx *bolt.Tx, name string) error {
	if tx.Bucket([]byte(name)) != nil {
		if err := tx.DeleteBucket([]byte(name)); err != nil {
			return fmt.Errorf("empty bucket %s: %w", name, err)
		}
	}
	_, err := tx.CreateBucket([]byte(name))
	return err
}

func putMembers(bucket *bolt.Bucket, members []*membership.Member) error {
	for _, m := range members {
		value, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(m.ID.String()), value); err != nil {
			return err
		}
	}
	return nil
}

// raise puts an entry without content at a higher revision and has the server compact at it when it starts.
func raise(tx *bolt.Tx, meta *bolt.Bucket, bump uint64) error {
	keys, err := tx.CreateBucketIfNotExists([]byte("key"))
	if err != nil {
		return err
	}
	var latest dbfile.Revision
	if last, _ := keys.Cursor().Last(); last != nil {
		if latest, err = dbfile.ParseRevision(last); err != nil {
			return err
		}
	}
	raised := dbfile.Revision{Main: latest.Main + int64(bump)}
	if raised.Main < latest.Main {
		return fmt.Errorf("revision %d cannot be raised by %d", latest.Main, bump)
	}
	return errors.Join(keys.Put(raised.Bytes(), []byte{}), meta.Put([]byte("scheduledCompactRev"), raised.Bytes()))
}
