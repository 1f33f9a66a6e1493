package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHostileFiles puts what may not be there where discovery looks: it must neither fail nor wait.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	places := []string{
		"etc/kubernetes/manifests/etcd.yaml", "etc/kubernetes/manifests/kube-apiserver.yaml", "etc/etcd.env", "etc/default/etcd", "proc/7/cmdline",
		"etc/kubernetes/pki/etcd/ca.crt", "etc/kubernetes/pki/etcd/healthcheck-client.crt", "etc/kubernetes/pki/etcd/healthcheck-client.key",
	}
	for name, put := range map[string]func(t *testing.T, path string){
		"pipe":      func(t *testing.T, path string) { t.Helper(); check(t, unix.Mkfifo(path, 0o600)) },
		"directory": func(t *testing.T, path string) { t.Helper(); check(t, os.Mkdir(path, 0o700)) },
		"loop":      func(t *testing.T, path string) { t.Helper(); check(t, os.Symlink(filepath.Base(path), path)) },
		"device":    func(t *testing.T, path string) { t.Helper(); check(t, os.Symlink("/dev/zero", path)) },
		"huge": func(t *testing.T, path string) {
			t.Helper()
			check(t, os.WriteFile(path, nil, 0o600))
			check(t, os.Truncate(path, 1<<40))
		},
		"bomb": func(t *testing.T, path string) {
			t.Helper()
			var text strings.Builder
			text.WriteString("a: &a [x,x,x,x,x,x,x,x,x]\n")
			for c := 'b'; c <= 'z'; c++ {
				fmt.Fprintf(&text, "%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
			}
			text.WriteString("spec: {containers: *z}\n")
			check(t, os.WriteFile(path, []byte(text.String()), 0o600))
		},
		"binary": func(t *testing.T, path string) {
			t.Helper()
			check(t, os.WriteFile(path, []byte("\x00\xff\x00=\x00\n\"\n='"), 0o600))
		},
		"empty": func(t *testing.T, path string) { t.Helper(); check(t, os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, place := range places {
				path := filepath.Join(root, place)
				check(t, os.MkdirAll(filepath.Dir(path), 0o700))
				put(t, path)
			}
			found, err := Discover(root) // an end is what is asked for
			if err != nil || found.Cert != "" {
				t.Errorf("found %+v, %v", found, err)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzParsers feeds the parsers of discovery and contexts what may be in a file: they may find nothing, and must not
// panic.
func FuzzParsers(f *testing.F) {
	for _, seed := range []string{
		"", "etcd\x00--listen-client-urls=https://0.0.0.0:2379\x00-x\x00", "ETCD_LISTEN_CLIENT_URLS=\"https://[::]:2379\"\nexport A='\n",
		"spec: {containers: [{command: [etcd, --a=$(B)], env: [{name: B, value: c}], volumeMounts: [{name: v, mountPath: /}]}], volumes: [{name: v, hostPath: {path: /h}}]}",
		"contexts:\n- name: a\n  endpoints: [e:1]\n", "listen-client-urls: unix:///x,https://%zz\nclient-transport-security: {cert-file: c}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, s := range []serverSettings{
			parseFlags(splitArgs(data)), parseServerFile(data), fromEnvironment(parseEnvFile(data)), fromEnvironment(parseEnvironment(data)),
		} {
			s.clientEndpoints()
		}
		if p, ok := parsePod(data); ok {
			for _, c := range p.Spec.Containers {
				parseFlags(c.arguments())
				p.hostPath(c, "/a/b")
			}
		}
		_, _ = parseContexts("file", data) // an error is an answer
	})
}

func TestClientEndpoints(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		listen, advertise, ctl, want string
	}{
		"nothing":                    {"", "", "", "http://127.0.0.1:2379"},
		"loopback first":             {"https://10.0.0.1:2379,https://127.0.0.1:2379", "", "", "https://127.0.0.1:2379"},
		"localhost":                  {"https://localhost:2379", "", "", "https://localhost:2379"},
		"IPv6 loopback":              {"https://[::1]:2379", "", "", "https://[::1]:2379"},
		"specific":                   {"https://10.0.0.1:2379", "https://etcd-1:2379", "", "https://10.0.0.1:2379"},
		"everywhere":                 {"https://0.0.0.0:2379", "https://etcd-1:2379", "", "https://etcd-1:2379"},
		"everywhere, not advertised": {"https://0.0.0.0:4001", "", "", "https://127.0.0.1:4001"},
		"everywhere, IPv6":           {"https://[::]:2379", "https://[::]:2379", "", "https://127.0.0.1:2379"},
		"socket":                     {"unix:///run/etcd.sock", "", "", "unix:///run/etcd.sock"},
		"etcdctl knows":              {"https://127.0.0.1:2379", "", "https://a:1,https://b:1", "https://a:1,https://b:1"},
		"variable left":              {"https://$(IP):2379,https://10.0.0.1:2379", "", "", "https://10.0.0.1:2379"},
		"no port":                    {"https://10.0.0.1", "", "", "http://127.0.0.1:2379"},
	} {
		s := serverSettings{"listen-client-urls": tt.listen, "advertise-client-urls": tt.advertise, "ctl-endpoints": tt.ctl}
		if got := strings.Join(s.clientEndpoints(), ","); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
