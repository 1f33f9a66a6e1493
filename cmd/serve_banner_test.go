package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/internal/ui"
)

func TestBanner(t *testing.T) {
	for name, args := range map[string][]string{
		"plaintext": {"--data-dir=/var/lib/etcd"},
		"tls": {
			"--data-dir=/var/lib/etcd", "--name=m1", "--initial-cluster=m1=https://10.0.0.1:2380", "--initial-advertise-peer-urls=https://10.0.0.1:2380",
			"--listen-client-urls=https://10.0.0.1:2379,http://127.0.0.1:2379", "--advertise-client-urls=https://10.0.0.1:2379",
			"--listen-peer-urls=https://10.0.0.1:2380", "--trusted-ca-file=/etc/etcd/ca.crt", "--client-cert-auth", "--peer-trusted-ca-file=/etc/etcd/ca.crt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := server.Parse(args, nil)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			writeBanner(&out, settings, "8e9e05c52164694d", "cdf818194e3a8c32")
			golden := filepath.Join("testdata", "banner-"+name+".golden")
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(`etcd 3\.\d+\.\d+`).ReplaceAllString(out.String(), "etcd 3.x.y")
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-%s +now:\n%s", golden, diff)
			}
		})
	}
}

// until is a terminal that calls seen once it was shown the text.
type until struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	seen func()
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.buf.Write(p)
	if strings.Contains(u.buf.String(), u.text) {
		u.seen()
	}
	return len(p), nil
}

// TestServeOnTerminal starts a member as on a terminal, sees the banner and presses Ctrl-C.
func TestServeOnTerminal(t *testing.T) {
	m := clustertest.NewUnstarted(t, clustertest.Options{}).Members[0]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	terminal := &until{text: "stop     Ctrl-C", seen: cancel}
	streams := &ui.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: terminal, ErrTTY: true}
	code := run(ctx, streams, append([]string{"etcdops", "serve"}, m.CommandLine()...))
	shown := terminal.buf.String()
	if code != 0 || !strings.Contains(shown, "etcdops --endpoints "+m.ClientURL+" health") {
		t.Errorf("exit code %d, shown:\n%s", code, shown)
	}
	if strings.Contains(shown, `{"level"`) || strings.Contains(shown, "ERROR") {
		t.Errorf("not for people:\n%s", shown)
	}
}
