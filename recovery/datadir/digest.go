package datadir

import (
	"cmp"
	"hash/crc32"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// TermRun says that entries from index From on are of one term, up to the next run.
type TermRun struct {
	From uint64 `json:"from"`
	Term uint64 `json:"term"`
}

// Digest identifies each entry of a log by term and checksum of its content, without keeping the content.
type Digest struct {
	First uint64    `json:"first"` // index of the first entry
	Terms []TermRun `json:"terms"`
	Sums  []uint32  `json:"sums"` // one an entry

	// SnapshotIndex and SnapshotTerm are of the entry before First, where a snapshot tells.
	SnapshotIndex uint64 `json:"snapshot_index"`
	SnapshotTerm  uint64 `json:"snapshot_term"`
}

// Last is the index of the last entry; First - 1 when there is none.
func (d *Digest) Last() uint64 { return d.First + uint64(len(d.Sums)) - 1 }

// Term is the term of entry index; ok is false when the log does not have it.
func (d *Digest) Term(index uint64) (term uint64, ok bool) {
	if index == d.SnapshotIndex && index != 0 {
		return d.SnapshotTerm, true
	}
	if len(d.Sums) == 0 || index < d.First || index > d.Last() {
		return 0, false
	}
	i, found := slices.BinarySearchFunc(d.Terms, index, func(r TermRun, index uint64) int { return cmp.Compare(r.From, index) })
	if !found {
		i--
	}
	return d.Terms[i].Term, true
}

// sum is the checksum of entry index, which the log has.
func (d *Digest) sum(index uint64) uint32 { return d.Sums[index-d.First] }

// Divergence is the first index at which two logs have different entries; ok is false when all entries that both have
// agree. overlap tells how many were compared.
func (d *Digest) Divergence(other *Digest) (index uint64, ok bool, overlap uint64) {
	if d == nil || other == nil || len(d.Sums) == 0 || len(other.Sums) == 0 {
		return 0, false, 0
	}
	from, to := max(d.First, other.First), min(d.Last(), other.Last())
	if from > to {
		return 0, false, 0
	}
	for i := from; i <= to; i++ {
		a, _ := d.Term(i)
		b, _ := other.Term(i)
		if a != b || d.sum(i) != other.sum(i) {
			return i, true, to - from + 1
		}
	}
	return 0, false, to - from + 1
}

// put adds an entry, which replaces all from its index on: a log overwrites what a former leader left.
// It returns false when the entry leaves a gap.
func (d *Digest) put(index, term uint64, sum uint32) bool {
	if len(d.Sums) == 0 {
		d.First = index
	}
	if index < d.First {
		d.First, d.Sums, d.Terms = index, nil, nil
	}
	n := index - d.First
	if n > uint64(len(d.Sums)) {
		return false
	}
	d.Sums = append(d.Sums[:n], sum)
	for len(d.Terms) > 0 && d.Terms[len(d.Terms)-1].From >= index {
		d.Terms = d.Terms[:len(d.Terms)-1]
	}
	if len(d.Terms) == 0 || d.Terms[len(d.Terms)-1].Term != term {
		d.Terms = append(d.Terms, TermRun{From: index, Term: term})
	}
	return true
}

// checksum is that of an entry's type and content.
func checksum(e *raftpb.Entry) uint32 {
	kind := crc32.Update(0, castagnoli(), []byte{byte(e.GetType())})
	return crc32.Update(kind, castagnoli(), e.GetData())
}

// castagnoli is the polynomial of all of etcd's checksums; hash/crc32 makes the table once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
