package clock_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// liar serves HTTP with a Date that is off.
func liar(t *testing.T, offset time.Duration) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(offset).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// timeServer answers NTP requests with a time that is off; it returns its address.
func timeServer(t *testing.T, offset time.Duration) string {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ntpTime := func(at time.Time) uint64 {
		const from1900 = 2_208_988_800
		return uint64(at.Unix()+from1900)<<32 | uint64(at.Nanosecond())<<32/1e9
	}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			now := time.Now().Add(offset)
			if n < 48 {
				continue
			}
			answer := make([]byte, 48)
			answer[0], answer[1], answer[2], answer[3] = 4<<3|4, 1, 6, 0xe9 // server, version 4, stratum 1
			binary.BigEndian.PutUint64(answer[16:], ntpTime(now.Add(-time.Second)))
			copy(answer[24:32], buf[40:48])
			binary.BigEndian.PutUint64(answer[32:], ntpTime(now))
			binary.BigEndian.PutUint64(answer[40:], ntpTime(time.Now().Add(offset)))
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return conn.LocalAddr().String()
}

// serveSSH starts an sshd on loopback and returns a configuration by which ssh reaches it as "clock-test".
func serveSSH(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// sshd as root wants this directory, which only its service makes.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	for _, key := range []string{"host", "client"} {
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	file("authorized", read("client.pub"))
	server := file("sshd_config", fmt.Sprintf("HostKey %s/host\nAuthorizedKeysFile %s/authorized\nStrictModes no\nUsePAM no\n", dir, dir))
	// One sshd a connection, as inetd starts it: no port can be lost between choosing and binding it.
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f, err := conn.(*net.TCPConn).File()
			_ = conn.Close()
			if err != nil {
				continue
			}
			cmd := exec.Command("/usr/sbin/sshd", "-i", "-e", "-f", server) //nolint:noctx // ends with its connection
			cmd.Stdin, cmd.Stdout = f, f
			cmd.Env = append(os.Environ(), clustertest.RunEnv()...)
			log, _ := os.Create(filepath.Join(dir, "sshd.log"))
			cmd.Stderr = log
			go func() {
				_ = cmd.Run()
				_ = f.Close()
				_ = log.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		if t.Failed() {
			t.Log(read("sshd.log"))
		}
	})
	me, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	known := file("known", "clock-test "+strings.TrimSpace(read("host.pub"))+"\n")
	return file("config", fmt.Sprintf(`Host clock-test
  HostName 127.0.0.1
  HostKeyAlias clock-test
  Port %d
  User %s
  IdentityFile %s/client
  IdentitiesOnly yes
  UserKnownHostsFile %s
  StrictHostKeyChecking yes
`, port, me.Username, dir, known))
}
