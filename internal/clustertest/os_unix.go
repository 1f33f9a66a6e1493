//go:build unix && !linux

package clustertest

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"
)

// Here /proc is missing: clusters run, but faults of the network are skipped, and a killed test leaves its members behind.

// The signals of Pause and Resume.
const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// knowsCallers says whether callerInode and owns work.
const knowsCallers = false

// bindPort finds a free port; somebody else may take it before the member does.
func bindPort(host string) (addr string, release func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", nil, err
	}
	return listener.Addr().String(), func() {}, listener.Close()
}

// startReaper returns what removes the run's directory; there is no process that would do it after a kill.
func startReaper(_, dir string) (stop func(), err error) {
	return func() { _ = os.RemoveAll(dir) }, nil
}

func reap(io.Reader, string, string) {}

func callerInode(net.Conn) uint64 { return 0 }

func owns(int, uint64) bool { return false }

func ownedByMemberOn(string, uint64) bool { return false }

// stopped cannot be told; the signal is on its way.
func stopped(int) bool { return true }

// flock takes an exclusive lock on f; closing f gives it back.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
