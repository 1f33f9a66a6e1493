package config

import (
	"testing"
)

// TestLocalServers reads what running processes and a static pod tell of their members.
func TestLocalServers(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, tc := range []struct {
		name  string
		s     serverSettings
		whole bool
		want  LocalServer
	}{
		{"defaults", serverSettings{}, true, LocalServer{Name: "default", ClientURLs: []string{"http://localhost:2379"}, DataDir: "/in/default.etcd", Strict: &yes}},
		{"settings out of reach", serverSettings{}, false, LocalServer{}},
		{
			"all given",
			serverSettings{
				"name": "m1", "advertise-client-urls": "https://10.0.0.1:2379", "data-dir": "d", "wal-dir": "w", "strict-reconfig-check": "false",
			},
			true,
			LocalServer{Name: "m1", ClientURLs: []string{"https://10.0.0.1:2379"}, DataDir: "/in/d", WALDir: "/in/w", Strict: &no},
		},
		{"a bare flag", serverSettings{"name": "m1", "strict-reconfig-check": ""}, false, LocalServer{Name: "m1", Strict: &yes}},
		{"nonsense", serverSettings{"name": "m1", "strict-reconfig-check": "perhaps"}, false, LocalServer{Name: "m1"}},
	} {
		got := localServer("", tc.s, func(p string) string { return "/in/" + p }, tc.whole)
		if got.Name != tc.want.Name || got.DataDir != tc.want.DataDir || got.WALDir != tc.want.WALDir || len(got.ClientURLs) != len(tc.want.ClientURLs) {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if (got.Strict == nil) != (tc.want.Strict == nil) || got.Strict != nil && *got.Strict != *tc.want.Strict {
			t.Errorf("%s: strict is %v", tc.name, got.Strict)
		}
	}
}
