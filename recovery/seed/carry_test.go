package seed_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/etcdops/etcdops/recovery/datadir"
	"github.com/etcdops/etcdops/recovery/seed"
)

// TestCarry brings a file in two parts, since the stream breaks, and refuses one whose content is not what was listed.
func TestCarry(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 1000)
	from := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(from, content, 0o600); err != nil {
		t.Fatal(err)
	}
	told := func(int64) {}
	files, err := seed.List(t.Context(), &datadir.Info{Kind: datadir.KindSnapshot, Path: from}, told)
	if err != nil || len(files) != 1 || files[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256(content)) {
		t.Fatalf("%+v, %v", files, err)
	}
	c, w := files[0], seed.Work{Dir: t.TempDir()}
	if err := w.Receive(t.Context(), c, 0, bytes.NewReader(content[:4000]), told); err == nil {
		t.Error("half of a file was taken for all of it")
	}
	if n, whole, err := w.Arrived(c); n != 4000 || whole || err != nil {
		t.Errorf("after the stream broke: %d bytes, whole %v, %v", n, whole, err)
	}
	if err := w.Carry(files); err == nil {
		t.Error("what has not arrived was published")
	}
	var rest bytes.Buffer
	if err := seed.Send(c, 4000, &rest); err != nil || rest.Len() != len(content)-4000 {
		t.Fatalf("the rest has %d bytes, %v", rest.Len(), err)
	}
	if err := w.Receive(t.Context(), c, 4000, &rest, told); err != nil {
		t.Fatal(err)
	}
	if err := w.Carry(files); err != nil || !w.HasCarried() {
		t.Errorf("it is published: %v, %v", w.HasCarried(), err)
	}
	got, err := os.ReadFile(w.CarriedSource("snapshot.db"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

// TestCarryChanged: bytes that changed on the way, or at the source, are given up.
func TestCarryChanged(t *testing.T) {
	t.Parallel()
	w := seed.Work{Dir: t.TempDir()}
	c := seed.Carried{Copied: seed.Copied{Path: filepath.Join(t.TempDir(), "db"), Bytes: 5, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("right")))}, Name: "member/snap/db"}
	if err := w.Receive(t.Context(), c, 0, bytes.NewReader([]byte("wrong")), func(int64) {}); !errors.Is(err, seed.ErrChanged) {
		t.Errorf("%v, want that it changed", err)
	}
	if n, whole, err := w.Arrived(c); n != 0 || whole || err != nil {
		t.Errorf("of a changed file %d bytes are kept, whole %v, %v", n, whole, err)
	}
	if err := os.WriteFile(c.Path, []byte("longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := seed.Send(c, 0, new(bytes.Buffer)); !errors.Is(err, seed.ErrChanged) {
		t.Errorf("a source that grew: %v", err)
	}
	c.Name = "../outside"
	if err := w.Receive(t.Context(), c, 0, bytes.NewReader([]byte("right")), func(int64) {}); err == nil {
		t.Error("a file was written outside of the working directory")
	}
}
