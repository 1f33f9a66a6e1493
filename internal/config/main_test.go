package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestMain takes the settings of whoever runs the tests out of the environment first.
func TestMain(m *testing.M) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "ETCDOPS_") || strings.HasPrefix(name, "ETCDCTL_") {
			_ = os.Unsetenv(name)
		}
	}
	clustertest.Main(m)
}
