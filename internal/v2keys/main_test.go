package v2keys_test

import (
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }
