package server

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/ops"
)

// refused is what a start that must not happen says.
type refused struct {
	code  ops.Code
	class ops.Class
	says  string // in the error
	hint  string // in the hint
}

// mustRefuse starts a member that must not start, and holds it to leaving everything as it was.
func mustRefuse(t *testing.T, s *Settings, want refused) {
	t.Helper()
	before := files(t, s.Config.Dir)
	srv, err := Start(t.Context(), s, Options{Logger: (&testLog{}).logger})
	if err == nil {
		stop(t, srv)
		t.Fatal("it started")
	}
	hint, ok := asHint(err)
	if !ok {
		t.Fatalf("got %v, want a hinted error", err)
	}
	if hint.Code != want.code || hint.Class != want.class || hint.Hint == "" {
		t.Errorf("got %s class %d hint %q, want %s class %d: %v", hint.Code, hint.Class, hint.Hint, want.code, want.class, err)
	}
	if !strings.Contains(err.Error(), want.says) || !strings.Contains(hint.Hint, want.hint) {
		t.Errorf("got %q, hint %q; want %q, %q in them", err, hint.Hint, want.says, want.hint)
	}
	if after := files(t, s.Config.Dir); after != before {
		t.Errorf("files changed:\n%s\nwere\n%s", after, before)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, otherCA := pki.NewCA(t, pki.CAOptions{}), pki.NewCA(t, pki.CAOptions{})
	expiredCA := pki.NewCA(t, pki.CAOptions{Days: -3})
	cert, key := ca.Peer(t, pki.CertOptions{})
	_, otherKey := ca.Peer(t, pki.CertOptions{})
	expired, expiredKey := ca.Peer(t, pki.CertOptions{Days: -2})
	foreign, foreignKey := otherCA.Peer(t, pki.CertOptions{})
	chained, chainedKey := ca.Intermediate(t, pki.CAOptions{}).Peer(t, pki.CertOptions{})
	text := write(t, dir, "text", "no certificate\n")
	flagsOf := func(cert, key, ca string) []string {
		return []string{"--cert-file=" + cert, "--key-file=" + key, "--trusted-ca-file=" + ca, "--listen-client-urls=https://127.0.0.1:0", "--advertise-client-urls=https://127.0.0.1:2379"}
	}
	asPeer := func(cert, key, ca string) []string {
		return []string{"--peer-cert-file=" + cert, "--peer-key-file=" + key, "--peer-trusted-ca-file=" + ca, "--listen-peer-urls=https://127.0.0.1:0"}
	}
	for name, c := range map[string]struct {
		args []string
		want refused
	}{
		"missing":             {flagsOf(dir+"/none", key, ca.CertFile), refused{code: "ETO-3010", says: "none: no such file"}},
		"no key":              {flagsOf(cert, "", ca.CertFile), refused{code: "ETO-3010", says: "--key-file go together"}},
		"not at all":          {[]string{"--listen-peer-urls=https://127.0.0.1:0"}, refused{code: "ETO-3010", says: "--peer-cert-file", hint: "--peer-auto-tls"}},
		"text as certificate": {flagsOf(text, key, ca.CertFile), refused{code: "ETO-3010", says: text}},
		"text as key":         {flagsOf(cert, text, ca.CertFile), refused{code: "ETO-3010", says: text, hint: "private key"}},
		"other key":           {flagsOf(cert, otherKey, ca.CertFile), refused{code: "ETO-3011", says: otherKey}},
		"other peer key":      {asPeer(cert, otherKey, ca.CertFile), refused{code: "ETO-3011", says: otherKey}},
		"expired":             {flagsOf(expired, expiredKey, ca.CertFile), refused{code: "ETO-3012", says: "2 days ago", hint: "clock"}},
		"expired peer":        {asPeer(expired, expiredKey, ca.CertFile), refused{code: "ETO-3012", says: expired}},
		"expired CA":          {flagsOf(cert, key, expiredCA.CertFile), refused{code: "ETO-3012", says: "authority"}},
		"CA is text":          {flagsOf(cert, key, text), refused{code: "ETO-3013", says: "no PEM certificate"}},
		"CA is missing":       {flagsOf(cert, key, dir+"/none"), refused{code: "ETO-3010", says: "none"}},
		"wrong peer CA":       {asPeer(foreign, foreignKey, ca.CertFile), refused{code: "ETO-3013", says: "not signed by"}},
		"chain without link":  {asPeer(chained, chainedKey, ca.CertFile), refused{code: "ETO-3013", says: "not signed by"}},
		"revocations in PEM":  {append(flagsOf(cert, key, ca.CertFile), "--client-crl-file="+text), refused{code: "ETO-3014", hint: "DER"}},
		"client certificate":  {append(flagsOf(cert, key, ca.CertFile), "--client-cert-file="+cert, "--client-key-file="+otherKey), refused{code: "ETO-3011"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.class = ops.ClassUsage
			s := parseArgs(t, append([]string{"--data-dir=" + filepath.Join(t.TempDir(), "data")}, c.args...)...)
			mustRefuse(t, s, c.want)
		})
	}
}

func TestGoodCertificates(t *testing.T) {
	ca, otherCA := pki.NewCA(t, pki.CAOptions{}), pki.NewCA(t, pki.CAOptions{})
	early, earlyKey := ca.Peer(t, pki.CertOptions{StartsIn: time.Hour})
	server, serverKey := ca.Server(t, pki.CertOptions{})
	middle := ca.Intermediate(t, pki.CAOptions{})
	chained, chainedKey := middle.Peer(t, pki.CertOptions{WithChain: middle})
	onlyClients := []string{"--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://127.0.0.1:1"}
	onlyPeers := []string{"--listen-peer-urls=https://127.0.0.1:2"}
	for name, c := range map[string]struct {
		base, args []string
		note       string
	}{
		"clock is behind":    {onlyPeers, []string{"--peer-cert-file=" + early, "--peer-key-file=" + earlyKey, "--peer-trusted-ca-file=" + ca.CertFile}, ""},
		"with its chain":     {onlyPeers, []string{"--peer-cert-file=" + chained, "--peer-key-file=" + chainedKey, "--peer-trusted-ca-file=" + ca.CertFile}, ""},
		"auto TLS for peers": {onlyPeers, []string{"--peer-auto-tls"}, ""},
		"auto TLS":           {onlyClients, []string{"--auto-tls"}, ""},
		"no client auth":     {onlyClients, []string{"--cert-file=" + server, "--key-file=" + serverKey}, ""},
		"server only":        {onlyClients, []string{"--cert-file=" + server, "--key-file=" + serverKey, "--trusted-ca-file=" + ca.CertFile}, "JSON gateway"},
		"clients' other CA":  {onlyClients, []string{"--cert-file=" + server, "--key-file=" + serverKey, "--trusted-ca-file=" + otherCA.CertFile}, "JSON gateway"},
		"without gateway":    {onlyClients, []string{"--cert-file=" + server, "--key-file=" + serverKey, "--trusted-ca-file=" + ca.CertFile, "--enable-grpc-gateway=false"}, ""},
		"gateway's own pair": {onlyClients, []string{"--cert-file=" + server, "--key-file=" + serverKey, "--trusted-ca-file=" + ca.CertFile, "--client-cert-file=" + chained, "--client-key-file=" + chainedKey}, ""},
		"files not needed":   {nil, []string{"--cert-file=none", "--key-file=none"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			notes, err := checkCertificates(parseArgs(t, append(c.base, c.args...)...).Config)
			if err != nil || (c.note == "") != (len(notes) == 0) || !strings.Contains(strings.Join(notes, " "), c.note) {
				t.Errorf("got %v, notes %q, want note %q", err, notes, c.note)
			}
		})
	}
}

func TestPortInUse(t *testing.T) {
	c := layout(t, clustertest.Options{})
	m := c.Members[0]
	var config net.ListenConfig
	for _, name := range []string{"listen-client-urls", "listen-peer-urls"} {
		u, err := url.Parse(flagValue(t, m.CommandLine(), name))
		if err != nil {
			t.Fatal(err)
		}
		taken, err := config.Listen(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		self := fmt.Sprintf("(pid %d)", os.Getpid())
		mustRefuse(t, settingsOf(t, m), refused{code: "ETO-3020", class: ops.ClassFailure, says: self, hint: "--" + name})
		_ = taken.Close()
	}
	metrics, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = metrics.Close() }()
	mustRefuse(t, settingsOf(t, m, "--listen-metrics-urls=http://"+metrics.Addr().String()),
		refused{code: "ETO-3020", class: ops.ClassFailure, hint: "--listen-metrics-urls"})
}

func TestAddresses(t *testing.T) {
	m := layout(t, clustertest.Options{}).Members[0]
	mustRefuse(t, settingsOf(t, m, "--listen-peer-urls=http://192.0.2.1:2380"),
		refused{code: "ETO-3021", class: ops.ClassFailure, says: "does not have the address"})
	peer := flagValue(t, m.CommandLine(), "listen-peer-urls")
	mustRefuse(t, settingsOf(t, m, "--listen-client-urls="+peer),
		refused{code: "ETO-3004", class: ops.ClassUsage, says: "--listen-peer-urls and --listen-client-urls"})
}

// TestBadDirectories covers what is found at the path itself.
func TestBadDirectories(t *testing.T) {
	base := t.TempDir()
	file := write(t, base, "file", "")
	proxy := filepath.Join(base, "proxied")
	if err := os.MkdirAll(filepath.Join(proxy, "proxy"), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]refused{
		file:                      {code: "ETO-3030", class: ops.ClassFailure, says: "not a directory"},
		filepath.Join(file, "in"): {code: "ETO-3030", class: ops.ClassFailure, says: "not a directory"},
		proxy:                     {code: "ETO-3034", class: ops.ClassRefused, says: "proxy"},
	} {
		m := layout(t, clustertest.Options{}).Members[0]
		mustRefuse(t, settingsOf(t, m, "--data-dir="+dir), want)
	}
}

// stoppedMember returns the settings of a member that ran and was stopped.
func stoppedMember(t *testing.T, m *clustertest.Member) *Settings {
	t.Helper()
	s := settingsOf(t, m)
	srv, _ := launch(t, s, Options{})
	waitReady(t, srv)
	stop(t, srv)
	return s
}

// TestDirectoryInUse locks the directory as a running member does, but holds still, so that nothing may change.
func TestDirectoryInUse(t *testing.T) {
	s := stoppedMember(t, layout(t, clustertest.Options{}).Members[0])
	db, err := bbolt.Open(filepath.Join(s.Config.Dir, "member/snap/db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	mustRefuse(t, s, refused{code: "ETO-3031", class: ops.ClassRefused, says: fmt.Sprintf("(pid %d) is using it", os.Getpid())})
}

// TestLostLog starts a member whose log is gone, as when the file system of --wal-dir is not mounted.
func TestLostLog(t *testing.T) {
	s := stoppedMember(t, layout(t, clustertest.Options{}).Members[0])
	if err := os.RemoveAll(filepath.Join(s.Config.Dir, "member", "wal")); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, s, refused{code: "ETO-3034", class: ops.ClassRefused, says: "there is no log in", hint: "mounted"})
}

func TestDatabaseLostItsEnd(t *testing.T) {
	s := stoppedMember(t, layout(t, clustertest.Options{}).Members[0])
	if err := os.Truncate(filepath.Join(s.Config.Dir, "member/snap/db"), int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, s, refused{code: "ETO-3038", class: ops.ClassRefused, says: "has lost its end", hint: "set the directory aside"})
}

func TestDatabaseIsNoDatabase(t *testing.T) {
	s := stoppedMember(t, layout(t, clustertest.Options{}).Members[0])
	write(t, filepath.Join(s.Config.Dir, "member", "snap"), "db", strings.Repeat("no database ", 4096))
	mustRefuse(t, s, refused{code: "ETO-3038", class: ops.ClassRefused, says: "is no database any more", hint: "set the directory aside"})
}

// TestEmptyDatabase starts a member that was killed between making its database and writing to it.
func TestEmptyDatabase(t *testing.T) {
	s := stoppedMember(t, layout(t, clustertest.Options{}).Members[0])
	write(t, filepath.Join(s.Config.Dir, "member", "snap"), "db", "")
	srv, log := launch(t, s, Options{})
	waitReady(t, srv)
	stop(t, srv)
	if strings.Contains(log.String(), "could not be examined") {
		t.Errorf("an empty database was examined:\n%s", log)
	}
}

func TestNewerData(t *testing.T) {
	for bucket, key := range map[string]string{"meta": "storageVersion", "cluster": "clusterVersion"} {
		s := stoppedMember(t, layout(t, clustertest.Options{}).Members[0])
		db, err := bbolt.Open(filepath.Join(s.Config.Dir, "member/snap/db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte("3.8.0"))
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, s, refused{code: "ETO-3033", class: ops.ClassRefused, says: "etcd 3.8 wrote it", hint: "3.8"})
	}
}

func TestDirectoryOfAnotherCluster(t *testing.T) {
	c := layout(t, clustertest.Options{})
	mine := stoppedMember(t, c.Members[0])
	want := refused{code: "ETO-3032", class: ops.ClassRefused, says: "belongs to"}
	t.Run("static list with nothing in common", func(t *testing.T) {
		others := layout(t, clustertest.Options{Size: 3})
		mustRefuse(t, settingsOf(t, others.Members[0], "--data-dir="+mine.Config.Dir), want)
	})
	t.Run("another name at another address", func(t *testing.T) {
		other := layout(t, clustertest.Options{}).Members[0]
		args := withoutFlags(other.CommandLine(), "name", "initial-cluster", "data-dir")
		mustRefuse(t, parseArgs(t, append(args, "--name=other", "--initial-cluster=other="+other.PeerURL, "--data-dir="+mine.Config.Dir)...), want)
	})
	t.Run("peers are another cluster", func(t *testing.T) {
		running := layout(t, clustertest.Options{})
		list := "--initial-cluster=" + c.Members[0].InitialCluster + ",other=" + running.Members[0].PeerURL
		settings := settingsOf(t, c.Members[0], list)
		srv, _ := launch(t, settingsOf(t, running.Members[0]), Options{})
		waitReady(t, srv)
		if _, err := preflight(t.Context(), settings); err != nil {
			t.Errorf("a cluster that does not know this member keeps it from starting: %v", err)
		}
		body := `{"peerURLs":["` + c.Members[0].PeerURL + `"],"isLearner":true}`
		if status, answer := call(t, client(t, running), "POST", running.Members[0].ClientURL+"/v3/cluster/member/add", body); status != 200 {
			t.Fatalf("add: %d %s", status, answer)
		}
		mustRefuse(t, settings, refused{code: "ETO-3032", class: ops.ClassRefused, says: "is in cluster"})
	})
	t.Run("the same member at a new address starts", func(t *testing.T) {
		moved := layout(t, clustertest.Options{}).Members[0]
		srv, log := launch(t, settingsOf(t, moved, "--data-dir="+mine.Config.Dir), Options{})
		waitReady(t, srv)
		if !strings.Contains(log.String(), "starting it as it is") {
			t.Errorf("no warning:\n%s", log)
		}
	})
}

// TestLostDirectory: starting a member empty under its old ID loses acknowledged writes, so it is refused.
func TestLostDirectory(t *testing.T) {
	c := layout(t, clustertest.Options{Size: 3})
	settings := []*Settings{settingsOf(t, c.Members[0]), settingsOf(t, c.Members[1]), settingsOf(t, c.Members[2])}
	servers := startAll(t, settings)
	stop(t, servers[2])
	if err := os.RemoveAll(c.Members[2].DataDir); err != nil {
		t.Fatal(err)
	}
	lost := refused{code: "ETO-3036", class: ops.ClassRefused, says: "its data is lost", hint: "etcdops explain replace-member"}
	mustRefuse(t, settings[2], lost)
	existing := append(withoutFlags(c.Members[2].CommandLine(), "initial-cluster-state"), "--initial-cluster-state=existing")
	mustRefuse(t, parseArgs(t, existing...), lost)
}

func TestJoin(t *testing.T) {
	c := layout(t, clustertest.Options{})
	joiner := layout(t, clustertest.Options{}).Members[0]
	closed := layout(t, clustertest.Options{}).Members[0].PeerURL
	list := c.Members[0].InitialCluster + ",m2=" + joiner.PeerURL
	settings := func(list, state string) *Settings {
		args := withoutFlags(joiner.CommandLine(), "name", "initial-cluster", "initial-cluster-state")
		return parseArgs(t, append(args, "--name=m2", "--initial-cluster="+list, "--initial-cluster-state="+state)...)
	}
	first, join, bootstrap := settingsOf(t, c.Members[0]), settings(list, "existing"), settings(list, "new")
	unreachable := settings("m1="+closed+",m2="+joiner.PeerURL, "existing")

	srv, _ := launch(t, first, Options{})
	waitReady(t, srv)
	mustRefuse(t, join, refused{code: "ETO-3037", class: ops.ClassRefused, says: "does not know", hint: "member add m2"})
	status, answer := call(t, client(t, c), "POST", c.Members[0].ClientURL+"/v3/cluster/member/add", `{"peerURLs":["`+joiner.PeerURL+`"],"isLearner":true}`)
	if status != 200 {
		t.Fatalf("add: %d %s", status, answer)
	}
	mustRefuse(t, bootstrap, refused{code: "ETO-3036", class: ops.ClassRefused, says: "waits for this member", hint: "existing"})
	mustRefuse(t, unreachable, refused{code: "ETO-3040", class: ops.ClassUnreachable, says: closed})
	second, _ := launch(t, join, Options{})
	waitReady(t, second)
}

func TestInitialClusterContradictions(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
		hint string
	}{
		"not listed":     {[]string{"--name=m9", "--initial-cluster=m1=http://127.0.0.1:2380"}, `does not list this member, "m9"`, "--name to one of m1"},
		"advertised":     {[]string{"--name=m1", "--initial-cluster=m1=http://127.0.0.1:2381"}, "but it advertises http://localhost:2380", ""},
		"twice":          {[]string{"--name=m1", "--initial-cluster=m1=http://localhost:2380,m2=http://localhost:2380"}, "to m1 and to m2", ""},
		"malformed":      {[]string{"--name=m1", "--initial-cluster=nonsense"}, "--initial-cluster:", "NAME="},
		"only with data": {[]string{"--name=m1", "--initial-cluster=m1=http://localhost:2380"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkInitialCluster(parseArgs(t, c.args...).Config)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			hint, ok := asHint(err)
			if !ok || hint.Code != "ETO-3004" || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint.Hint, c.hint) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
