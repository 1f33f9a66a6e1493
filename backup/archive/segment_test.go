package archive_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
)

const (
	cluster  = 0x7b48afc4
	timeline = "20261122T120000.000Z-00c0ffee"
)

// entry makes a change.
func entry(tb testing.TB, revision, sub int64, text string) archive.Entry {
	tb.Helper()
	e, err := archive.FromEvent(&mvccpb.Event{Kv: &mvccpb.KeyValue{
		Key: []byte(text), Value: []byte(text), ModRevision: revision, CreateRevision: revision, Version: 1,
	}}, sub)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// segment writes revisions 11 to 10+n, the even ones with two changes.
func segment(tb testing.TB, n int64) (string, []byte) {
	tb.Helper()
	w, err := archive.NewWriter(cluster, timeline, 10, archive.Genesis(cluster, timeline, 10), backup.Encryption{})
	if err != nil {
		tb.Fatal(err)
	}
	for r := int64(11); r <= 10+n; r++ {
		list := []archive.Entry{entry(tb, r, 0, fmt.Sprint("a", r))}
		if r%2 == 0 {
			list = append(list, entry(tb, r, 1, fmt.Sprint("b", r)))
		}
		if err := w.Append(time.Unix(r, 0), list...); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Note(archive.Note{Leases: []archive.Lease{{ID: 7, TTL: 60}}}); err != nil {
		tb.Fatal(err)
	}
	object, data, err := w.Seal(time.Unix(100, 0), "test", 3)
	if err != nil {
		tb.Fatal(err)
	}
	return object, data
}

func TestSegmentComesBack(t *testing.T) {
	_, data := segment(t, 20)
	var entries, links, notes int
	h, err := archive.Read(bytes.NewReader(data), archive.Visitor{
		Entry: func(int64, archive.Entry) error { entries++; return nil },
		Link:  func(int64, archive.Chain) error { links++; return nil },
		Note:  func(archive.Note) error { notes++; return nil },
	}, backup.Identities{})
	if err != nil {
		t.Fatal(err)
	}
	if h.First != 11 || h.Last != 30 || entries != 30 || links != 20 || notes != 1 || h.Fence != 3 {
		t.Errorf("%+v, %d entries, %d links, %d notes", h, entries, links, notes)
	}
}

// TestEveryFlippedBitIsFound flips one bit of each byte.
func TestEveryFlippedBitIsFound(t *testing.T) {
	_, data := segment(t, 20)
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << rand.IntN(8)
		if _, err := archive.Read(bytes.NewReader(bad), archive.Visitor{}, backup.Identities{}); err == nil {
			t.Fatalf("a bit flipped in byte %d is not found", i)
		}
		if _, err := archive.Read(bytes.NewReader(data[:i]), archive.Visitor{}, backup.Identities{}); err == nil {
			t.Fatalf("a segment cut after %d bytes is read", i)
		}
	}
}

// TestGapsAreRefused leaves out a revision, a change within one, and repeats one.
func TestGapsAreRefused(t *testing.T) {
	for name, list := range map[string][]archive.Entry{
		"revision":    {entry(t, 11, 0, "a"), entry(t, 13, 0, "b")},
		"change":      {entry(t, 11, 0, "a"), entry(t, 11, 2, "b")},
		"first":       {entry(t, 12, 0, "a")},
		"repeated":    {entry(t, 11, 0, "a"), entry(t, 11, 0, "a")},
		"not from 0":  {entry(t, 11, 1, "a")},
		"backwards":   {entry(t, 11, 0, "a"), entry(t, 12, 0, "b"), entry(t, 11, 1, "c")},
		"already had": {entry(t, 10, 0, "a")},
	} {
		w, err := archive.NewWriter(cluster, timeline, 10, archive.Chain{}, backup.Encryption{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(time.Unix(1, 0), list...); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	_, data := segment(f, 5)
	f.Add(data)
	f.Add([]byte("ETCDSEG1\x00\x00\x00\x02{}"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = archive.Read(bytes.NewReader(data), archive.Visitor{}, backup.Identities{})
	})
}
