package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Found is one key as the cluster holds it.
type Found struct {
	Key, Value  string
	ModRevision int64
	Version     int64 // how often it was written
}

// Report is the judgement over a cluster.
type Report struct {
	Acknowledged int // writes
	Unknown      int
	Failed       int
	Present      int // unknown writes that happened

	Lost     []Entry // acknowledged and not readable, or not as written
	Undead   []Entry // failed for sure, and yet readable
	Phantoms []Found // never sent, or not with that value
}

// Judge holds what a cluster has against the ledger.
func Judge(entries []Entry, found []Found) Report {
	var r Report
	held := make(map[string]Found, len(found))
	for _, f := range found {
		held[f.Key] = f
	}
	for _, e := range entries {
		f, ok := held[e.Key]
		delete(held, e.Key)
		asWritten := ok && f.Value == e.Value && f.Version == 1
		if ok && !asWritten {
			r.Phantoms = append(r.Phantoms, f)
		}
		switch e.Outcome {
		case Acknowledged:
			r.Acknowledged++
			if !asWritten || f.ModRevision != e.Revision {
				r.Lost = append(r.Lost, e)
			}
		case Failed:
			r.Failed++
			if ok {
				r.Undead = append(r.Undead, e)
			}
		case Unknown:
			r.Unknown++
			if ok {
				r.Present++
			}
		}
	}
	for _, f := range found {
		if _, never := held[f.Key]; never {
			r.Phantoms = append(r.Phantoms, f)
		}
	}
	return r
}

// Err is nil if nothing was lost, and something was there to be lost.
func (r Report) Err() error {
	if len(r.Lost)+len(r.Undead)+len(r.Phantoms) > 0 {
		return errors.New(r.String())
	}
	if r.Acknowledged == 0 {
		return errors.New("no write was acknowledged: nothing is proven")
	}
	return nil
}

// String tells the counts and the first cases of each fault.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d writes acknowledged, %d unknown (%d happened), %d failed; %d lost, %d undead, %d phantoms",
		r.Acknowledged, r.Unknown, r.Present, r.Failed, len(r.Lost), len(r.Undead), len(r.Phantoms))
	const first = 5
	for _, e := range r.Lost[:min(first, len(r.Lost))] {
		fmt.Fprintf(&b, "\nlost: %s=%s, acknowledged by %s at revision %d", e.Key, e.Value, e.Member, e.Revision)
	}
	for _, e := range r.Undead[:min(first, len(r.Undead))] {
		fmt.Fprintf(&b, "\nundead: %s=%s, failed with %s", e.Key, e.Value, e.Error)
	}
	for _, f := range r.Phantoms[:min(first, len(r.Phantoms))] {
		fmt.Fprintf(&b, "\nphantom: %s=%s at revision %d, version %d", f.Key, f.Value, f.ModRevision, f.Version)
	}
	return b.String()
}

// Check reads everything below prefix through the quorum and judges it. An error says that it could not be read.
func Check(ctx context.Context, client *clientv3.Client, prefix string, entries []Entry) (Report, error) {
	found, err := fetch(ctx, client, prefix)
	if err != nil {
		return Report{}, fmt.Errorf("check ledger: %w", err)
	}
	return Judge(entries, found), nil
}

// fetch reads all keys below prefix at one revision, a page at a time.
func fetch(ctx context.Context, client *clientv3.Client, prefix string) ([]Found, error) {
	const page = 2000
	var found []Found
	var revision int64 // of the first page, which is read through the quorum
	for from, end := prefix, clientv3.GetPrefixRangeEnd(prefix); ; {
		got, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(revision))
		if err != nil {
			return nil, err
		}
		if revision == 0 {
			revision = got.Header.Revision
		}
		for _, kv := range got.Kvs {
			found = append(found, Found{string(kv.Key), string(kv.Value), kv.ModRevision, kv.Version})
		}
		if !got.More {
			return found, nil
		}
		from = found[len(found)-1].Key + "\x00"
	}
}
