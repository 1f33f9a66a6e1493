// Package storetest is the contract of backup.Store as a test suite: every store passes it.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
)

// Run runs the suite. open returns a store that is empty and stays the same for one test.
func Run(t *testing.T, open func(t *testing.T) backup.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, backup.Store){
		"round trip":            roundTrip,
		"large object":          large,
		"put once":              putOnce,
		"one winner":            oneWinner,
		"missing":               missing,
		"list":                  list,
		"names":                 names,
		"body read again":       bodyAgain,
		"short body":            shortBody,
		"cancelled":             cancelled,
		"sweep spares objects":  sweep,
		"delete and put again":  deleteAndPut,
		"string has no secrets": describes,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// limit is for one operation.
const limit = 30 * time.Second

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, s backup.Store, name string, content []byte) {
	t.Helper()
	if err := s.Put(bounded(t), name, bytes.NewReader(content)); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func read(t *testing.T, s backup.Store, name string) []byte {
	t.Helper()
	r, err := s.Open(bounded(t), name)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return content
}

func roundTrip(t *testing.T, s backup.Store) {
	t.Helper()
	for name, content := range map[string][]byte{
		"repo.json":     []byte("{}"),
		"c/1/base/x":    []byte("deep"),
		"empty":         {},
		"c/1/base/x.bz": {0, 1, 2, 255},
	} {
		put(t, s, name, content)
		if got := read(t, s, name); !bytes.Equal(got, content) {
			t.Errorf("%s: read %q, put %q", name, got, content)
		}
	}
}

// large is above the limit at which stores upload in parts.
func large(t *testing.T, s backup.Store) {
	t.Helper()
	content := make([]byte, 20<<20+7)
	_, _ = rand.Read(content)
	put(t, s, "large", content)
	if !bytes.Equal(read(t, s, "large"), content) {
		t.Error("the object is not what was put")
	}
}

func putOnce(t *testing.T, s backup.Store) {
	t.Helper()
	put(t, s, "a/b", []byte("first"))
	if err := s.Put(bounded(t), "a/b", bytes.NewReader([]byte("second"))); !errors.Is(err, backup.ErrExist) {
		t.Errorf("second put: %v, want ErrExist", err)
	}
	if got := read(t, s, "a/b"); string(got) != "first" {
		t.Errorf("the object was changed to %q", got)
	}
}

// oneWinner has many put the same name at once.
func oneWinner(t *testing.T, s backup.Store) {
	t.Helper()
	const writers = 8
	var won atomic.Int32
	var winner atomic.Value
	var all sync.WaitGroup
	ctx := bounded(t)
	for i := range writers {
		all.Go(func() {
			content := fmt.Sprintf("writer %d", i)
			switch err := s.Put(ctx, "manifest.json", bytes.NewReader([]byte(content))); {
			case err == nil:
				won.Add(1)
				winner.Store(content)
			case !errors.Is(err, backup.ErrExist):
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d writers were told that they made the object", won.Load())
	}
	if got := string(read(t, s, "manifest.json")); got != winner.Load() {
		t.Errorf("the object is of %q, and %q was told so", got, winner.Load())
	}
}

func missing(t *testing.T, s backup.Store) {
	t.Helper()
	put(t, s, "there/is", nil)
	for _, name := range []string{"absent", "there/absent", "absent/is"} {
		if r, err := s.Open(bounded(t), name); !errors.Is(err, backup.ErrNotExist) {
			t.Errorf("open %s: %v, want ErrNotExist", name, err)
			if err == nil {
				_ = r.Close()
			}
		}
		if err := s.Delete(bounded(t), name); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
}

func list(t *testing.T, s backup.Store) {
	t.Helper()
	names := []string{"c/1/base/a/manifest.json", "c/1/base/a/part.000", "c/1/seg/x", "c/10/base/b/manifest.json", "hold/a", "repo.json"}
	for i, name := range slices.Backward(names) {
		put(t, s, name, make([]byte, i))
	}
	for prefix, want := range map[string][]string{
		"":           names,
		"c/":         names[:4],
		"c/1":        names[:4],
		"c/1/":       names[:3],
		"c/1/base/":  names[:2],
		"c/1/base/a": names[:2],
		"repo.json":  names[5:],
		"none":       nil,
		"none/":      nil,
		"none/at/":   nil,
	} {
		objects, err := s.List(bounded(t), prefix)
		if err != nil {
			t.Errorf("list %q: %v", prefix, err)
		}
		var got []string
		for _, o := range objects {
			got = append(got, o.Name)
			if at := slices.Index(names, o.Name); o.Size != int64(at) || time.Since(o.Modified).Abs() > time.Hour {
				t.Errorf("%+v: want size %d and a time of now", o, at)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
}

func names(t *testing.T, s backup.Store) {
	t.Helper()
	for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "./a", ".hidden", "a/.hidden", "a b", "a\nb", "ä"} {
		if err := s.Put(bounded(t), name, bytes.NewReader(nil)); err == nil {
			t.Errorf("an object of the name %q was put", name)
		}
	}
	if objects, err := s.List(bounded(t), ""); err != nil || len(objects) > 0 {
		t.Errorf("objects %v, %v", objects, err)
	}
}

// bodyAgain puts one body twice: stores rewind it.
func bodyAgain(t *testing.T, s backup.Store) {
	t.Helper()
	body := io.NewSectionReader(bytes.NewReader([]byte("0123456789")), 2, 5)
	for _, name := range []string{"one", "two"} {
		if err := s.Put(bounded(t), name, body); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, name); string(got) != "23456" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// shortBody ends before its size.
func shortBody(t *testing.T, s backup.Store) {
	t.Helper()
	body := io.NewSectionReader(bytes.NewReader([]byte("0123456789")), 0, 100)
	if err := s.Put(bounded(t), "short", body); err == nil {
		t.Error("a body that is cut short was put")
	}
	if objects, err := s.List(bounded(t), ""); err != nil || len(objects) > 0 {
		t.Errorf("objects %v, %v", objects, err)
	}
}

func cancelled(t *testing.T, s backup.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "a", bytes.NewReader(make([]byte, 1<<20))); err == nil {
		t.Error("put with a context that has ended")
	}
	if objects, err := s.List(bounded(t), ""); err != nil || len(objects) > 0 {
		t.Errorf("objects %v, %v", objects, err)
	}
}

func sweep(t *testing.T, s backup.Store) {
	t.Helper()
	put(t, s, "c/1/base/a/part.000", []byte("kept"))
	for range 2 {
		if _, err := s.Sweep(bounded(t), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, s, "c/1/base/a/part.000"); string(got) != "kept" {
		t.Errorf("after sweep: %q", got)
	}
}

func deleteAndPut(t *testing.T, s backup.Store) {
	t.Helper()
	put(t, s, "hold/a", []byte("1"))
	if err := s.Delete(bounded(t), "hold/a"); err != nil {
		t.Fatal(err)
	}
	if objects, err := s.List(bounded(t), ""); err != nil || len(objects) > 0 {
		t.Errorf("objects %v, %v", objects, err)
	}
	put(t, s, "hold/a", []byte("2"))
	if got := read(t, s, "hold/a"); string(got) != "2" {
		t.Errorf("read %q", got)
	}
}

func describes(t *testing.T, s backup.Store) {
	t.Helper()
	if s.String() == "" {
		t.Error("the store does not say where it is")
	}
}
