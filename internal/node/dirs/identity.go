package dirs

import (
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/ops"
)

// identity reads whose log is in a WAL directory, from the first records of its newest segment; zero when it cannot be
// told.
func identity(dir string) (ops.MemberID, ops.ClusterID) {
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) == 0 {
		return 0, 0
	}
	f, err := os.Open(slices.Max(names))
	if err != nil {
		return 0, 0
	}
	defer func() { _ = f.Close() }() // only read
	decoder := wal.NewDecoder(fileutil.NewFileReader(f))
	var record walpb.Record
	for range 3 { // a checksum record, the metadata, a snapshot record
		if err := decoder.Decode(&record); err != nil {
			return 0, 0
		}
		switch record.GetType() {
		case wal.CrcType:
			decoder.UpdateCRC(record.GetCrc())
		case wal.MetadataType:
			var meta etcdserverpb.Metadata
			if proto.Unmarshal(record.GetData(), &meta) != nil {
				return 0, 0
			}
			return ops.MemberID(meta.GetNodeID()), ops.ClusterID(meta.GetClusterID())
		}
	}
	return 0, 0
}
