package cmd

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	etcdversion "go.etcd.io/etcd/api/v3/version"
)

func TestVersionJSON(t *testing.T) {
	out, errOut, code := testRun(t, "version", "-w", "json")
	if code != 0 || errOut != "" {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	var got versionJSON
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Schema != "etcdops.version/v1" || got.Etcd != etcdversion.Version || got.Go != runtime.Version() {
		t.Errorf("got %+v", got)
	}
	if got.Version == "" || got.Commit == "" || got.Date == "" {
		t.Errorf("an unknown stamp must say so: %+v", got)
	}
}
