package server

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	_ "go.etcd.io/etcd/server/v3/etcdmain" // the program that we are held to
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
)

// upstreamConfig has the layout of etcdmain's config.
//
//nolint:unused // the layout matters, not every field is read
type upstreamConfig struct {
	ec    embed.Config
	flags struct {
		set                                   *flag.FlagSet
		clusterState, fallback, v2deprecation uintptr
	}
	configFile   string
	printVersion bool
	ignored      []string
}

//go:linkname newUpstreamConfig go.etcd.io/etcd/server/v3/etcdmain.newConfig
func newUpstreamConfig() *upstreamConfig

//go:linkname parseUpstream go.etcd.io/etcd/server/v3/etcdmain.(*config).parse
func parseUpstream(cfg *upstreamConfig, args []string) error

// sameConfig compares two configurations in all that decides how a member runs; loggers and functions apart.
func sameConfig(t *testing.T, want, got *embed.Config) {
	t.Helper()
	diff := cmp.Diff(want, got,
		cmpopts.IgnoreUnexported(embed.Config{}, transport.TLSInfo{}),
		cmpopts.IgnoreFields(embed.Config{}, "ZapLoggerBuilder", "Logger"),
		cmpopts.IgnoreFields(transport.TLSInfo{}, "HandshakeFailure"),
		cmpopts.IgnoreUnexported(clientv3.SecureConfig{}, clientv3.AuthConfig{}),
		cmp.Comparer(func(a, b featuregate.FeatureGate) bool {
			return a.(featuregate.MutableFeatureGate).String() == b.(featuregate.MutableFeatureGate).String()
		}))
	if diff != "" {
		t.Errorf("differs from upstream (-upstream +ours):\n%s", diff)
	}
}

// refusedCase marks the names of cases that both must refuse; all others must be accepted by both.
const refusedCase = "refused: "

// compareWithUpstream parses the same words, in the process's environment, with upstream's program and with ours.
func compareWithUpstream(t *testing.T, args ...string) {
	t.Helper()
	upstream := newUpstreamConfig()
	wantErr := parseUpstream(upstream, args)
	wantRead, wantWrite := rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout

	ours, s := newFlagSet(), &Settings{}
	gotErr := ours.parse(args)
	if gotErr == nil {
		env := newEnvironment(os.Environ())
		s.File = ours.settingsFile(env)
		_, gotErr = s.readUpstream(ours, env)
	}
	refused := strings.Contains(t.Name(), strings.ReplaceAll(refusedCase, " ", "_"))
	if (wantErr != nil) != refused || (gotErr != nil) != refused {
		t.Fatalf("upstream says %v, ours says %v", wantErr, gotErr)
	}
	if wantErr == nil {
		sameConfig(t, &upstream.ec, s.Config)
	}
	if rafthttp.ConnReadTimeout != wantRead || rafthttp.ConnWriteTimeout != wantWrite {
		t.Errorf("raft timeouts %v and %v, upstream's %v and %v", rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout, wantRead, wantWrite)
	}
}

func TestFlagsAreUpstreams(t *testing.T) {
	ours := newFlagSet()
	var want, got []string
	newUpstreamConfig().flags.set.VisitAll(func(f *flag.Flag) { want = append(want, f.Name+" "+f.DefValue) })
	ours.VisitAll(func(f *flag.Flag) {
		if ours.own.Lookup(f.Name) == nil {
			got = append(got, f.Name+" "+f.DefValue)
		}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags and defaults differ (-upstream +ours):\n%s", diff)
	}
}

// otherValue is a valid value of the flag that is not its default.
func otherValue(f *flag.Flag) string {
	special := map[string]string{
		"auto-compaction-mode": "revision", "backend-bbolt-freelist-type": "array", "cors": "http://a.example:1,http://b.example:2",
		"discovery-fallback": "exit", "feature-gates": "InitialCorruptCheck=true", "initial-cluster": "m1=http://10.0.0.1:2380",
		"initial-cluster-state": "existing", "log-format": "console", "log-level": "warn", "log-outputs": "/dev/null", "logger": "zap",
		"log-rotation-config-json": `{"maxsize": 1}`, "metrics": "extensive", "tls-max-version": "TLS1.3", "tls-min-version": "TLS1.3",
		"v2-deprecation": "gone", "heartbeat-interval": "150", "election-timeout": "1700", "max-concurrent-streams": "99",
		"host-whitelist": "a.example,b.example", "config-file": "",
		"auto-compaction-retention": "5", "cipher-suites": "TLS_RSA_WITH_AES_128_GCM_SHA256",
	}
	if value, ok := special[f.Name]; ok {
		return value
	}
	if strings.HasSuffix(f.Name, "-urls") {
		return "http://127.0.0.1:12345,http://127.0.0.1:12346"
	}
	value := f.DefValue
	if getter, ok := f.Value.(flag.Getter); ok {
		switch getter.Get().(type) {
		case bool:
			return strconv.FormatBool(value == "false")
		case time.Duration:
			return "17s"
		case int, int64, uint, uint64:
			return "17"
		}
	}
	return "other"
}

// companions are flags without which another flag alone is refused.
func companions(name string) []string {
	return map[string][]string{
		"listen-client-urls":  {"--advertise-client-urls=http://127.0.0.1:1"},
		"discovery-token":     {"--discovery-endpoints=http://127.0.0.1:1"},
		"discovery-endpoints": {"--discovery-token=t"},
		"enable-log-rotation": {"--log-outputs=/dev/null"},
	}[name]
}

func TestEveryFlagAndVariable(t *testing.T) {
	newUpstreamConfig().flags.set.VisitAll(func(f *flag.Flag) {
		if f.Name == "version" {
			return
		}
		value, more := otherValue(f), companions(f.Name)
		t.Run("flag/"+f.Name, func(t *testing.T) {
			compareWithUpstream(t, append(more, "--"+f.Name+"="+value)...)
		})
		t.Run("variable/"+f.Name, func(t *testing.T) {
			t.Setenv(variable(f.Name), value)
			compareWithUpstream(t, more...)
		})
	})
}

func TestCombinations(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":                             {},
		"single dash":                         {"-name", "m1", "-data-dir=/x"},
		"static cluster":                      {"--name=m1", "--initial-cluster=m1=http://a:1,m2=http://b:1", "--initial-cluster-token=t", "--initial-advertise-peer-urls=http://a:1"},
		"refused: list without advertised":    {"--listen-client-urls=http://127.0.0.1:1"},
		"srv":                                 {"--discovery-srv=example.com"},
		"srv name":                            {"--discovery-srv-name=x"},
		"refused: srv and static":             {"--discovery-srv=example.com", "--initial-cluster=a=http://b:1"},
		"discovery":                           {"--discovery-token=t", "--discovery-endpoints=http://b:2,http://a:1", "--discovery-user=u:p"},
		"refused: discovery without token":    {"--discovery-endpoints=http://b:2"},
		"twice the same URL":                  {"--listen-peer-urls=http://127.0.0.1:1,http://127.0.0.1:1"},
		"URLs are sorted":                     {"--listen-peer-urls=http://127.0.0.9:1,http://127.0.0.1:1"},
		"refused: name as URL":                {"--listen-peer-urls=http://example.com:1"},
		"unix":                                {"--listen-client-urls=unix:///tmp/x:1", "--advertise-client-urls=unix:///tmp/x:1"},
		"refused: proxy fallback":             {"--discovery-fallback=proxy"},
		"refused: election too short":         {"--election-timeout=400", "--heartbeat-interval=100"},
		"refused: election too long":          {"--election-timeout=60000"},
		"raft timeouts raised":                {"--raft-read-timeout=1s", "--raft-write-timeout=1s"},
		"refused: versions crossed":           {"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"},
		"gates":                               {"--feature-gates=InitialCorruptCheck=true,CompactHashCheck=false"},
		"refused: persist without checkpoint": {"--feature-gates=LeaseCheckpointPersist=true"},
		"ignored":                             {"--snapshot", "--vv", "--peer-election-timeout=3"},
		"refused: leftover word":              {"--name=a", "b"},
		"no unary warning":                    {"--warning-unary-request-duration=0"},
		"tls":                                 {"--cert-file=a", "--key-file=b", "--client-cert-auth", "--peer-cert-allowed-cn=a,b", "--peer-crl-file=c"},
		"cors":                                {"--cors=*"},
		"log level empty":                     {"--log-level="},
		"refused: rotation to stderr":         {"--enable-log-rotation", "--log-outputs=stderr"},
		"refused: default among outputs":      {"--log-outputs=default,/dev/null"},
		"refused: tracing":                    {"--enable-distributed-tracing", "--distributed-tracing-sampling-rate=-1"},
		"refused: compaction mode":            {"--auto-compaction-mode=never"},
	} {
		t.Run(name, func(t *testing.T) { compareWithUpstream(t, args...) })
	}
}

// TestEveryFileKey takes the keys from the flags, and the nested and untagged ones from a table.
func TestEveryFileKey(t *testing.T) {
	cases := map[string]string{
		"json":                     `{"name": "m1", "data-dir": "/x"}`,
		"comment only":             "# nothing\n",
		"unknown key":              "no-such-key: 1\nname: a\n",
		"client TLS":               "client-transport-security:\n  cert-file: a\n  key-file: b\n  client-cert-auth: true\n  trusted-ca-file: c\n  auto-tls: true\n  allowed-hostname: [a, b]\n  client-cert-file: d\n  client-key-file: e\n  allowed-cn: [z]\n  skip-client-san-verification: true\n",
		"peer TLS":                 "peer-transport-security:\n  cert-file: a\n  key-file: b\n  client-cert-auth: true\n  trusted-ca-file: c\n  auto-tls: true\n  allowed-cn: [a, b]\n  skip-client-san-verification: true\n",
		"refused: peer TLS no map": "peer-transport-security: 3\n",
		"discovery":                "discovery-config:\n  token: t\n  client:\n    endpoints: [http://a:1]\n    secure:\n      cacert: c\n",
		"srv":                      "discovery-srv: example.com\n",
		"refused: srv static":      "discovery-srv: example.com\ninitial-cluster: a=http://b:1\n",
		"state empty":              "initial-cluster-state: ''\n",
		"validity zero":            "self-signed-cert-validity: 0\n",
		"unary zero":               "warning-unary-request-duration: 0\n",
		"nanoseconds":              "watch-progress-notify-interval: 5000000000\n",
		"refused: text duration":   "watch-progress-notify-interval: 5s\n",
		"refused: broken YAML":     "name: m1\n  data-dir: x\n",
		"refused: cut in a key":    "name: m1\ndata-di",
		"refused: type":            "heartbeat-interval: x\n",
		"gates":                    "feature-gates: InitialCorruptCheck=true\n",
		"refused: bad gate":        "feature-gates: Nope=true\n",
		"upper case":               "NAME: m1\n",
		"our section":              "name: m1\netcdops:\n  gc-percent: 100\n",
		"empty URL list":           "listen-client-urls: ''\n",
	}
	newUpstreamConfig().flags.set.VisitAll(func(f *flag.Flag) {
		value := otherValue(f)
		if value == "17s" {
			value = "17000000000"
		}
		if _, isList := f.Value.(interface{ Get() any }); !isList && slices.Contains([]string{"log-outputs", "cipher-suites"}, f.Name) {
			value = "[" + value + "]"
		}
		if _, number := strconv.ParseFloat(value, 64); f.Name == "auto-compaction-retention" || number != nil && value != "true" && value != "false" && !strings.HasPrefix(value, "[") {
			value = strconv.Quote(value)
		}
		cases["key "+f.Name] = f.Name + ": " + value + "\n"
		if f.Name == "enable-log-rotation" {
			cases["key "+f.Name] += "log-outputs: [/dev/null]\n"
		}
	})
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "etcd.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			compareWithUpstream(t, "--config-file="+path)
			t.Setenv("ETCD_CONFIG_FILE", path)
			compareWithUpstream(t, "--name=ignored")
		})
	}
}

func TestCompletionIsUpstreams(t *testing.T) {
	for _, args := range [][]string{nil, {"--name=m1"}, {"--listen-peer-urls=http://0.0.0.0:2380"}, {"--data-dir=/x"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			upstream := newUpstreamConfig()
			initial := upstream.ec.InitialCluster
			if err := parseUpstream(upstream, args); err != nil {
				t.Fatal(err)
			}
			if _, err := upstream.ec.UpdateDefaultClusterFromName(initial); err != nil {
				t.Log(err)
			}
			// The one start that upstream refuses and we do not: it rewrites the URL that the default name advertises and leaves
			// the default cluster as it was.
			if upstream.ec.InitialCluster == initial {
				upstream.ec.InitialCluster = upstream.ec.InitialClusterFromName(upstream.ec.Name)
			}
			got, err := Parse(args, nil)
			if err != nil {
				t.Fatal(err)
			}
			if upstream.ec.Dir == "" {
				upstream.ec.Dir = upstream.ec.Name + ".etcd"
			}
			if err := upstream.ec.ServerFeatureGate.(featuregate.MutableFeatureGate).Set("CompactHashCheck=true"); err != nil {
				t.Fatal(err)
			}
			sameConfig(t, &upstream.ec, got.Config)
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	s, err := Parse([]string{"--version"}, nil)
	if err != nil || !s.Version {
		t.Errorf("--version: %v, %v", s, err)
	}
	for _, word := range []string{"-h", "--help"} {
		if _, err := Parse([]string{word}, nil); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: %v", word, err)
		}
	}
}
