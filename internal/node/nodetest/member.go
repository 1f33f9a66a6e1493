package nodetest

import (
	"path/filepath"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// StoppedMember is a member with some data and a separate WAL directory, which has run and does not run now.
func StoppedMember(t *testing.T) (m *clustertest.Member, wal string) {
	t.Helper()
	c := clustertest.NewUnstarted(t, clustertest.Options{})
	m = c.Members[0]
	wal = filepath.Join(filepath.Dir(m.DataDir), "wal")
	m.Args = []string{"--wal-dir=" + wal}
	c.Start(t)
	if _, err := m.Client(t).Put(t.Context(), "key", "value"); err != nil {
		t.Fatal(err)
	}
	m.Stop(t)
	return m, wal
}
