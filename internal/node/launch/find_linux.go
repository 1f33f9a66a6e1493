package launch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Running finds the process on this machine that runs a member on the data directory, 0 when there is none. Programs
// that are no member (an editor, a copy) do not count: the directory must stand in the command line or the environment of
// one that says --data-dir, or runs on the settings file given, which may be empty.
func Running(dataDir, configFile string) int {
	for _, p := range processes() {
		if file := p.Launch.ConfigFile(); file != "" {
			if configFile != "" && file == configFile {
				return p.PID
			}
			continue
		}
		if dir := p.Launch.Get("data-dir"); dir != "" && filepath.Clean(p.Launch.abs(dir)) == filepath.Clean(dataDir) && alive(p.PID) {
			return p.PID
		}
	}
	return 0
}

// RunningOn finds the process that runs a member on a directory of this machine, 0 when there is none: also one in a
// container, which knows the directory under another name.
func RunningOn(dir string) int {
	want, err := os.Stat(dir)
	if err != nil {
		return 0
	}
	for _, p := range processes() {
		data := p.Launch.Get("data-dir")
		if data == "" {
			continue
		}
		got, err := os.Stat(filepath.Join(p.root(), p.Launch.abs(data)))
		if err == nil && os.SameFile(got, want) && alive(p.PID) {
			return p.PID
		}
	}
	return 0
}

// Members are the processes of this machine that run a member, in containers too. A program is taken for one when it is
// told a data directory and whom to serve.
func Members() []Process {
	var out []Process
	for _, p := range processes() {
		if p.Launch.Get("data-dir") != "" && p.Launch.Get("listen-client-urls") != "" && alive(p.PID) {
			p.place()
			out = append(out, p)
		}
	}
	return out
}

// processes are all others of this machine, with how they were started.
func processes() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		l, ok := OfProcess(pid)
		if !ok {
			continue
		}
		p := Process{PID: pid, Launch: l}
		if file := l.ConfigFile(); file != "" {
			p.Launch.Config, _ = os.ReadFile(filepath.Join(p.root(), file)) // without it nothing is known
		}
		out = append(out, p)
	}
	return out
}

// root is the process's file system, seen from here.
func (p Process) root() string { return filepath.Join("/proc", strconv.Itoa(p.PID), "root") }

// place reads who runs the process from its control group.
func (p *Process) place() {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "cgroup"))
	if err == nil {
		p.Unit, p.Kubelet, p.Container = placeOf(string(text))
	}
}

// OfProcess reads how a running process was started.
func OfProcess(pid int) (Launch, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	args := commandLine(dir)
	if len(args) == 0 {
		return Launch{}, false
	}
	l := Launch{Args: strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")}
	if env, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil {
		l.Env = strings.Split(strings.TrimRight(string(env), "\x00"), "\x00")
	}
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil {
		l.Dir = cwd
	}
	return l, true
}

// commandLine reads a process's arguments, nothing where it has none. The kernel shows a program some moments before its
// arguments, so a process that has a program (no thread of the kernel, not ended) is looked at again.
func commandLine(dir string) []byte {
	const looks, pause = 50, time.Millisecond
	for range looks {
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(args) > 0 {
			return args
		}
		if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
			return nil
		}
		<-time.After(pause)
	}
	return nil
}

// alive tells a process from what is left of one that ended and was not waited for.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, ok := strings.Cut(string(stat), ") ")
	return ok && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
