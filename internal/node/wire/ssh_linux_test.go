package wire_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/nodetest"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/internal/node/wire"
	"github.com/etcdops/etcdops/recovery"
)

// sshd is a real one on loopback. It is started for each connection (-i), so that its port is taken from the beginning.
const sshd = "/usr/sbin/sshd"

// host is a machine with sshd, and what a user's ssh needs to reach it.
type host struct {
	dir         string
	port        int
	connections atomic.Int64
}

// newHost makes keys, configurations and a listener; PATH there finds this test binary as etcdops.
func newHost(t *testing.T) *host {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("no sshd: apt-get install openssh-server")
	}
	if os.Geteuid() == 0 { // where sshd gives its rights up; the package's unit makes it at boot
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := &host{dir: t.TempDir()}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(h.dir, "etcdops"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"host", "user"} {
		h.keygen(t, name)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the test
	if err != nil {
		t.Fatal(err)
	}
	h.port = listener.Addr().(*net.TCPAddr).Port
	h.write(t, "sshd_config", "HostKey "+h.file("host")+"\nAuthorizedKeysFile "+h.file("user.pub")+`
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
LogLevel VERBOSE
SetEnv "PATH=`+h.dir+":"+os.Getenv("PATH")+`" `+strings.Join(clustertest.RunEnv(), " ")+"\n")
	h.know(t, "host")
	h.configure(t, h.port)
	h.serve(t, listener)
	return h
}

func (h *host) file(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(h.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *host) keygen(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", h.file(name)).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
}

// know makes a key the one that the user knows the host by.
func (h *host) know(t *testing.T, key string) {
	t.Helper()
	pub, err := os.ReadFile(h.file(key + ".pub"))
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "known_hosts", "cp-3 "+string(pub)+"behind "+string(pub))
}

// configure writes the user's configuration of ssh: cp-3 is the host, behind is the same one through cp-3.
func (h *host) configure(t *testing.T, port int) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "ssh_config", fmt.Sprintf(`Host behind
  ProxyJump cp-3
  HostKeyAlias behind
Host cp-3
  HostKeyAlias cp-3
Host *
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
  UpdateHostKeys no
`, port, me.Username, h.file("user"), h.file("known_hosts")))
}

// serve runs sshd for each connection until the test ends.
func (h *host) serve(t *testing.T, listener net.Listener) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			h.connections.Add(1)
			serving.Go(func() { h.session(t, conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
}

func (h *host) session(t *testing.T, conn net.Conn) {
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Error(err)
		return
	}
	_ = conn.Close() // file is a copy
	defer func() { _ = file.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), sshd, "-i", "-f", h.file("sshd_config"), "-E", h.file("sshd.log"))
	cmd.Stdin, cmd.Stdout = file, file
	_ = cmd.Run() // it fails where a connection is refused, as it shall
}

// open drives a member there by its specification.
func (h *host) open(t *testing.T, member, alias, via string) *wire.Remote {
	t.Helper()
	n, err := wire.SSH(member, alias, via, h.file("ssh_config"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// specOf writes how a member is started.
func specOf(t *testing.T, m *clustertest.Member) string {
	t.Helper()
	spec := filepath.Join(t.TempDir(), "m1.yaml")
	fixture.WriteSpec(t, spec, m)
	return spec
}

// TestLongContractOverSSH: the whole contract through ssh, a real sshd, and etcdops there.
func TestLongContractOverSSH(t *testing.T) {
	clustertest.Long(t)
	nodetest.Run(t, func(t *testing.T) nodetest.Fixture {
		h := newHost(t)
		m, wal := nodetest.StoppedMember(t)
		spec := specOf(t, m)
		n := h.open(t, m.Name, "cp-3", "process:"+spec)
		t.Cleanup(func() { _ = process.New(spec).Stop(context.WithoutCancel(t.Context())) })
		return nodetest.Fixture{Node: n, Member: m, WAL: wal, Files: []string{spec}}
	})
}

// TestSSH: a member is started, stopped and configured through ssh, a real sshd, and etcdops there.
func TestSSH(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	m, wal := nodetest.StoppedMember(t)
	spec := specOf(t, m)
	n := h.open(t, m.Name, "cp-3", "process:"+spec)
	t.Cleanup(func() { _ = process.New(spec).Stop(context.WithoutCancel(t.Context())) })
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.WaitServing(t)
	if st, err := n.Status(t.Context()); err != nil || !st.Running {
		t.Errorf("after Start: %+v %v", st, err)
	}
	for _, do := range []func(context.Context) error{n.Mask, n.Stop} {
		if err := do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "masked") {
		t.Errorf("Start of a masked member: %v", err)
	}
	asides, err := n.SetAside(t.Context(), "label")
	if err != nil || len(asides) != 2 || asides[1].Original != wal {
		t.Errorf("set aside: %+v %v", asides, err)
	}
	if err := n.Configure(t.Context(), []recovery.Setting{{Name: "initial-cluster-state", Value: "existing"}}); err != nil {
		t.Fatal(err)
	}
	if s, err := n.Survey(t.Context()); err != nil || s.Setting("initial-cluster-state") != "existing" || !s.Dirs[0].Empty {
		t.Errorf("at the end: %+v %v", s, err)
	}
}

// TestSSHHosts: jump hosts work, and whoever is not the host that is known is refused, with nothing asked.
func TestSSHHosts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	m, _ := nodetest.StoppedMember(t)
	via := "process:" + specOf(t, m)
	survey := func(alias, via string) (string, error) {
		t.Helper()
		s, err := h.open(t, m.Name, alias, via).Survey(t.Context())
		return s.Driver + " " + s.Name, err
	}
	refused := func(what, alias, via string, want ...string) {
		t.Helper()
		_, err := survey(alias, via)
		for _, word := range want {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want %q in it", what, err, word)
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: an error of several lines:\n%v", what, err)
		}
		t.Logf("%s: %v", what, err)
	}
	if got, err := survey("cp-3", via); err != nil || got != "ssh cp-3, process "+m.Name {
		t.Errorf("survey: %q %v\n%s", got, err, h.log())
	}
	before := h.connections.Load()
	if got, err := survey("behind", via); err != nil || got != "ssh behind, process "+m.Name || h.connections.Load() != before+2 {
		t.Errorf("through the jump host: %q %v, %d connections\n%s", got, err, h.connections.Load()-before, h.log())
	}
	refused("no such driver", "cp-3", "carrier-pigeon", "there is no driver")

	h.keygen(t, "other")
	h.know(t, "other")
	refused("changed host key", "cp-3", via, "the host key of cp-3 is not the one that is known", "SHA256:", "known_hosts:1")
	refused("changed key of the jump host", "behind", via, "ssh behind", "the host key of cp-3 is not the one")
	h.write(t, "known_hosts", "")
	refused("unknown host key", "cp-3", via, "is not known", "ssh cp-3")
	refused("unknown key of the jump host", "behind", via, "is not known")
	if left, err := os.ReadFile(h.file("known_hosts")); err != nil || len(left) > 0 {
		t.Errorf("a key was learned: %s %v", left, err)
	}

	h.know(t, "host")
	h.write(t, "user", readFile(t, h.file("other")))
	refused("unknown user", "cp-3", via, "does not let this user in", "Permission denied")
	h.write(t, "user.pub", readFile(t, h.file("other.pub")))
	if err := os.Remove(h.file("etcdops")); err != nil {
		t.Fatal(err)
	}
	refused("no etcdops there", "cp-3", via, "etcdops is not in the PATH")

	dead, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only for a port that nobody has
	if err != nil {
		t.Fatal(err)
	}
	h.configure(t, dead.Addr().(*net.TCPAddr).Port)
	_ = dead.Close()
	refused("a host that is off", "cp-3", via, "cannot be reached", "Connection refused")
}

func (h *host) log() string {
	log, _ := os.ReadFile(h.file("sshd.log"))
	return string(log)
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
