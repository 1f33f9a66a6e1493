package archive

import (
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// Format is the version of the segments that this program writes and reads.
const Format = 1

// Header describes a segment. It stands in front of the data and is not encrypted.
type Header struct {
	Format    int           `json:"format"`
	ClusterID ops.ClusterID `json:"cluster_id"`
	Timeline  string        `json:"timeline"`
	First     int64         `json:"first"` // revisions, both included
	Last      int64         `json:"last"`
	Entries   int64         `json:"entries"`
	Previous  Chain         `json:"previous"` // chain at First-1
	Chain     Chain         `json:"chain"`    // chain at Last
	Anchors   []Anchor      `json:"anchors"`  // oldest first

	ReceivedFrom time.Time `json:"received_from"` // when the first and the last change came, by the archiver's clock
	ReceivedTo   time.Time `json:"received_to"`
	SealedAt     time.Time `json:"sealed_at"`
	Program      string    `json:"program"`
	Fence        int64     `json:"fence"` // token of the election that the archiver had won; 0 for none

	CompactRevision int64  `json:"compact_revision"` // that the cluster was known to be compacted to
	AuthRevision    uint64 `json:"auth_revision"`    // of users and roles; 0 when not known

	Plain       backup.Sum `json:"plain"`
	Stored      backup.Sum `json:"stored"`
	Compression string     `json:"compression"` // "zstd"
	Encryption  string     `json:"encryption"`  // "age", or empty
}

// Limits of a segment, against files that nobody wrote.
const (
	maxHeaderBytes = 1 << 20
	maxPlainBytes  = 2 << 30
	maxNoteBytes   = 16 << 20
	maxValueBytes  = 1 << 30
)

var errHeader = errors.New("the header contradicts itself")

// check refuses a header that no writer would write.
func (h *Header) check() error {
	switch {
	case h.Format > Format:
		return fmt.Errorf("%w: format %d, known is %d", ErrNewer, h.Format, Format)
	case len(h.Anchors) > len(anchorDistances()), h.Format < 1, h.First < 1, h.Last < h.First, h.Entries < h.Last-h.First+1, !validTimeline(h.Timeline):
		return errHeader
	case h.Plain.Size < 0, h.Plain.Size > maxPlainBytes, h.Stored.Size < 0, h.Stored.Size > maxPlainBytes:
		return errHeader
	case h.Compression != "zstd", h.Encryption != "" && h.Encryption != "age":
		return fmt.Errorf("%w: compression %q, encryption %q", ErrNewer, h.Compression, h.Encryption)
	}
	return nil
}

// Anchor is a point of the chain near the end of a segment. Who continues the segment reads the changes after an anchor
// once more: when the chain at the end comes out the same, the history is the same.
type Anchor struct {
	Revision int64 `json:"revision"`
	Chain    Chain `json:"chain"`
}

// anchorDistances are how far before the end anchors lie: the farthest that is not compacted away is used.
func anchorDistances() []int64 { return []int64{1000, 100, 10, 1} }
