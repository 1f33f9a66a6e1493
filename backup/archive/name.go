package archive

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// timelineDocument describes a timeline, in its directory.
const timelineDocument = "timeline.json"

// NewTimeline names a timeline: the time, so that names sort by age, and 32 bits drawn by lot.
func NewTimeline(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return now.UTC().Format(timelineTime) + "-" + hex.EncodeToString(b[:])
}

// timelineTime is the layout of the time in a timeline's name.
const timelineTime = "20060102T150405.000Z"

func validTimeline(s string) bool {
	at, lot, found := strings.Cut(s, "-")
	_, timeErr := time.Parse(timelineTime, at)
	_, lotErr := hex.DecodeString(lot)
	return found && timeErr == nil && len(at) == len(timelineTime) && lotErr == nil && len(lot) == 8
}

// Ref is a segment as its name tells it. Names are enough to plan with; what is in the object is held against its name when
// it is read.
type Ref struct {
	Object   string // its name in the store
	Timeline string
	First    int64
	Last     int64
	Previous string // Chain.Short
	Chain    string
	SealedAt time.Time // to the millisecond
	Size     int64     // bytes in the store
}

// objectName is where a segment lies.
func objectName(h *Header) string {
	return fmt.Sprintf("%s%s/%020d-%020d-%s-%s-%011x", backup.SegmentPrefix(h.ClusterID), h.Timeline,
		h.First, h.Last, h.Previous.Short(), h.Chain.Short(), h.SealedAt.UnixMilli())
}

// parseName takes the name of a segment apart; ok is false for anything else.
func parseName(cluster ops.ClusterID, object string) (r Ref, ok bool) {
	rest, found := strings.CutPrefix(object, backup.SegmentPrefix(cluster))
	timeline, name, cut := strings.Cut(rest, "/")
	fields := strings.Split(name, "-")
	if !found || !cut || len(fields) != 5 || !validTimeline(timeline) {
		return r, false
	}
	first, firstErr := strconv.ParseInt(fields[0], 10, 64)
	last, lastErr := strconv.ParseInt(fields[1], 10, 64)
	ms, msErr := strconv.ParseInt(fields[4], 16, 64)
	if firstErr != nil || lastErr != nil || msErr != nil || len(fields[2]) != 12 || len(fields[3]) != 12 || first < 1 || last < first {
		return r, false
	}
	return Ref{
		Object: object, Timeline: timeline, First: first, Last: last, Previous: fields[2], Chain: fields[3],
		SealedAt: time.UnixMilli(ms).UTC(),
	}, true
}

// clusterOf reads the cluster out of an object's name.
func clusterOf(object string) (ops.ClusterID, error) {
	fields := strings.SplitN(object, "/", 3) // c, cluster, rest
	if len(fields) != 3 {
		return 0, fmt.Errorf("%q is no segment", object)
	}
	id, err := strconv.ParseUint(fields[1], 16, 64)
	return ops.ClusterID(id), err
}
