package pitr

import (
	bolt "go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/backup/archive"
)

// fillPercent of pages: entries come in order and none is added between them later.
const fillPercent = 0.9

// appender writes batches of entries into the bucket "key", each in a transaction, while the next one is being read: reading
// is unpacking and hashing, writing is building pages, and each takes about half of the time.
type appender struct {
	db      *bolt.DB
	in      chan []archive.Entry
	done    chan struct{}
	written int64 // by run, until done is closed
	err     error
}

func newAppender(db *bolt.DB) *appender {
	a := &appender{db: db, in: make(chan []archive.Entry), done: make(chan struct{})}
	go a.run()
	return a
}

// add takes a batch, which must not be changed any more. An error is that of an earlier one.
func (a *appender) add(batch []archive.Entry) error {
	select {
	case a.in <- batch:
		return nil
	case <-a.done:
		return a.err
	}
}

// end waits for all batches and returns how many entries were written.
func (a *appender) end() (int64, error) {
	close(a.in)
	<-a.done
	return a.written, a.err
}

func (a *appender) run() {
	defer close(a.done)
	for batch := range a.in {
		if a.err = a.db.Update(func(tx *bolt.Tx) error { return put(tx, batch) }); a.err != nil {
			return
		}
		a.written += int64(len(batch))
	}
}

// put adds entries in one transaction.
func put(tx *bolt.Tx, batch []archive.Entry) error {
	bucket := tx.Bucket([]byte("key"))
	bucket.FillPercent = fillPercent
	for _, e := range batch {
		if err := bucket.Put(e.Key, e.Value); err != nil {
			return err
		}
	}
	return nil
}
