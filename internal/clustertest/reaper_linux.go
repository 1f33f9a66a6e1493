package clustertest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startReaper starts the process that cleans up behind the run, and returns what ends the run and waits for it. The
// reaper reads from a pipe whose other end only this process holds: however this process dies, the kernel tells.
func startReaper(run, dir string) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	alive, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = alive.Close() }()
	cmd := exec.Command(self) //nolint:noctx // it outlives every context of this process
	cmd.Args = []string{"clustertest-reaper", run, dir}
	cmd.Env = append(environ(), envRole+"="+roleReaper) // without the run's name: it is not among those that it kills
	cmd.Stdin = alive
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal is not for it
	if err := cmd.Start(); err != nil {
		_ = hold.Close()
		return nil, err
	}
	return func() {
		_ = hold.Close()
		_ = cmd.Wait()
	}, nil
}

// reap waits for the end of alive, then kills what is left of the run and removes its directory.
func reap(alive io.Reader, run, dir string) {
	_, _ = io.Copy(io.Discard, alive)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	// A process that was being started when the tests died shows its environment a moment later: look until two looks
	// in a row find nothing.
	for quiet := 0; quiet < 2; <-pause.C {
		quiet++
		for _, pid := range pids() {
			if killIfOf(pid, run) {
				quiet = 0
			}
		}
	}
	_ = os.RemoveAll(dir)
}

// pids lists the processes of this machine.
func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// killIfOf kills process pid if its environment names the run, and reports whether it did. The process is held by a
// descriptor before it is looked at, so that a recycled pid is never killed.
func killIfOf(pid int, run string) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == envRun+"="+run }) {
		return false
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return false
	}
	// Wait for its end (10 s), so that it writes no more into the directory that goes next.
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
	return true
}
