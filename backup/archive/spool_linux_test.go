package archive

import (
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest/powercut"
)

// TestSpoolSurvivesPowerCut: a segment that was kept is there after the power failed: the cluster may have compacted what is in it.
func TestSpoolSurvivesPowerCut(t *testing.T) {
	t.Parallel()
	disk := powercut.New(t, 64<<20)
	s, err := openSpool(disk.Dir)
	if err != nil {
		t.Fatal(err)
	}
	disk.Flush(t)
	if err := s.put("c/0000000000000001/seg/x", []byte("what was received")); err != nil {
		t.Fatal(err)
	}
	disk.Cut(t)
	if files, err := s.files(); err != nil || len(files) != 1 {
		t.Errorf("the segment is gone: %v %v", files, err)
	}
}
