package backup

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// The layout of a repository. Every name is made and read here and nowhere else.
const (
	repoName     = "repo.json"
	clusterDir   = "c/"
	holdDir      = "hold/"
	tombDir      = "tomb/"
	leaseDir     = "lease/"
	recordDir    = "drill/"
	manifestName = "manifest.json"

	timeInName = "20060102T150405Z"
)

// ID names a backup: 16 hexadecimal digits drawn by lot. People may type the first few.
type ID string

// NewID draws an ID.
func NewID() ID {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return ID(hex.EncodeToString(b[:]))
}

// Short is the ID as lists show it.
func (id ID) Short() string { return string(id[:min(len(id), 8)]) }

// valid says whether the ID is one.
func (id ID) valid() bool {
	_, err := hex.DecodeString(string(id))
	return err == nil && len(id) == 16
}

// ClusterPrefix is where everything of a cluster lies. The cluster's ID is written with all its 16 digits.
func ClusterPrefix(cluster ops.ClusterID) string {
	return fmt.Sprintf("%s%016x/", clusterDir, uint64(cluster))
}

// SegmentPrefix is where the segments of a cluster's event archive lie, a directory a timeline.
func SegmentPrefix(cluster ops.ClusterID) string { return ClusterPrefix(cluster) + "seg/" }

// basePrefix is where the bases of a cluster lie.
func basePrefix(cluster ops.ClusterID) string { return ClusterPrefix(cluster) + "base/" }

// baseDir is the directory of one backup, with a slash at its end. The revision in it is the manifest's.
func baseDir(cluster ops.ClusterID, revision int64, taken time.Time, id ID) string {
	return fmt.Sprintf("%s%020d-%s-%s/", basePrefix(cluster), revision, taken.UTC().Format(timeInName), id)
}

// parseBaseDir takes the name of an object of a backup apart.
func parseBaseDir(object string) (dir string, id ID, ok bool) {
	rest, found := strings.CutPrefix(object, clusterDir)
	if !found {
		return "", "", false
	}
	fields := strings.SplitN(rest, "/", 4) // cluster, base, name, file
	if len(fields) != 4 || fields[1] != "base" {
		return "", "", false
	}
	name := strings.Split(fields[2], "-")
	if len(name) != 3 || len(name[0]) != 20 {
		return "", "", false
	}
	_, clusterErr := strconv.ParseUint(fields[0], 16, 64)
	_, revErr := strconv.ParseInt(name[0], 10, 64)
	_, timeErr := time.Parse(timeInName, name[1])
	id = ID(name[2])
	if clusterErr != nil || revErr != nil || timeErr != nil || !id.valid() {
		return "", "", false
	}
	return strings.TrimSuffix(object, fields[3]), id, true
}

// timeOf is the time in the name of a backup's directory, in a form that sorts.
func timeOf(dir string) string {
	name := strings.Split(dir[strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1:], "-")
	return name[min(1, len(name)-1)]
}

// placeOf reads the cluster and the revision out of the directory of a backup.
func placeOf(dir string) (cluster ops.ClusterID, revision int64, ok bool) {
	if _, _, ok = parseBaseDir(dir + manifestName); !ok {
		return 0, 0, false
	}
	fields := strings.Split(dir, "/")
	id, _ := strconv.ParseUint(fields[1], 16, 64)
	revision, _ = strconv.ParseInt(fields[3][:20], 10, 64)
	return ops.ClusterID(id), revision, true
}

// partName is the name of the n-th part within its backup's directory.
func partName(n int) string { return fmt.Sprintf("part.%03d", n) }
