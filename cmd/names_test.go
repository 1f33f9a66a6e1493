package cmd_test

import (
	"strings"
	"testing"
)

// TestUpstreamNames compares what the upstream programs print of themselves with what this binary prints under their
// names, and under the words that stand for them.
func TestUpstreamNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, word, pkg string
		lines           []string
	}{
		{"etcd", "etcd", "go.etcd.io/etcd/server/v3", []string{
			"--version", "--help", "-h", "--no-such-flag", "gateway --help", "gateway start --help", "grpc-proxy --help", "grpc-proxy start --help", "gateway sta",
			"--config-file /none",
		}},
		{"etcdctl", "ctl", "go.etcd.io/etcd/etcdctl/v3", []string{
			"", "version", "--help", "-h", "options", "get --help", "help member", "member", "me li --help", "completion bash", "nonsense", "get", "put --no-such-flag",
			"version -w json",
		}},
		{"etcdutl", "utl", "go.etcd.io/etcd/etcdutl/v3", []string{
			"", "version", "--help", "-h", "snapshot --help", "snapshot status --help", "snapshot restore --help", "defrag --help", "hashkv --help",
			"migrate --help", "completion zsh", "nonsense", "snapshot status /none", "snap st /none", "defrag", "defrag --data-dir /none",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			upstream := buildUpstream(t, tc.name, tc.pkg)
			link, word := etcdopsProgram(t, "/some/where/"+tc.name), etcdopsProgram(t, "etcdops")
			for _, line := range tc.lines {
				args := strings.Fields(line)
				want := normalRun(upstream.run(t, "", args...))
				for how, got := range map[string]result{
					"link": link.run(t, "", args...),
					"word": word.run(t, "", append([]string{tc.word}, args...)...),
					"name": word.run(t, "", append([]string{tc.name}, args...)...),
				} {
					if got := normalRun(got); got != want {
						t.Errorf("%s %s by %s:\n%+v\nupstream:\n%+v", tc.name, line, how, got, want)
					}
				}
			}
		})
	}
}

func TestUpstreamNameOnWindows(t *testing.T) {
	t.Parallel()
	if r := etcdopsProgram(t, "etcdctl.exe").run(t, "", "version"); !strings.HasPrefix(r.out, "etcdctl version: ") {
		t.Errorf("etcdctl.exe printed %+v", r)
	}
}

func normalRun(r result) result {
	r.err = logged.ReplaceAllString(r.err, "*")
	return r
}
