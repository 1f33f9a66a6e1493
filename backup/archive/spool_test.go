package archive

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/dirstore"
)

// TestDamagedSpoolIsNotSent flips a bit of what a segment holds while it waits on the local disk: it is not sent, and what was
// received is set aside. It was sent when only its header was right.
func TestDamagedSpoolIsNotSent(t *testing.T) {
	t.Parallel()
	timeline := NewTimeline(time.Unix(1, 0))
	w, err := NewWriter(1, timeline, 10, Genesis(1, timeline, 10), backup.Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := FromEvent(&mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte("k"), Value: []byte("v"), ModRevision: 11, CreateRevision: 11, Version: 1}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(time.Unix(1, 0), e); err != nil {
		t.Fatal(err)
	}
	object, data, err := w.Seal(time.Unix(2, 0), "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	dir := t.TempDir()
	s, err := openSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(object, data); err != nil {
		t.Fatal(err)
	}
	store, err := dirstore.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := s.drain(t.Context(), store, func(object string) { t.Errorf("%s was sent", object) }); err != nil {
		t.Fatal(err)
	}
	if objects, err := store.List(t.Context(), ""); err != nil || len(objects) > 0 {
		t.Errorf("in the store: %v, %v", objects, err)
	}
	if kept, err := os.ReadDir(dir); err != nil || len(kept) != 1 || filepath.Ext(kept[0].Name()) != ".damaged" || s.size() != 0 {
		t.Errorf("on the disk: %v, %v; %d bytes wait", kept, err, s.size())
	}
}
