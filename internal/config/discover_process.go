package config

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process is a running program that may tell of an etcd.
type process struct {
	pid  int
	args []string
}

// processes returns the running programs that satisfy wanted, by pid.
func (m *machine) processes(wanted func(args []string) bool) []process {
	if !m.surveyed {
		m.programs, m.surveyed = m.survey(), true
	}
	var out []process
	for _, p := range m.programs {
		if wanted(p.args) {
			out = append(out, p)
		}
	}
	return out
}

// survey reads the command lines of the programs that discovery cares for. It goes through all processes of the machine,
// so it does no more for each than it must.
func (m *machine) survey() []process {
	dir, err := os.Open(m.path("/proc"))
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }() // only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []process
	start := make([]byte, 4<<10)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		file := m.proc(pid, "cmdline")
		args := splitArgs(readStart(file, start))
		if len(args) == 0 || !isEtcd(args) && !isAPIServer(args) {
			continue
		}
		if ofAnotherPerson(m.proc(pid, "")) {
			continue
		}
		if all := splitArgs(m.read(file, maxCommand)); len(all) > 0 { // it may have ended meanwhile
			out = append(out, process{pid, all})
		}
	}
	slices.SortFunc(out, func(a, b process) int { return a.pid - b.pid })
	return out
}

// readStart reads what one call gives of a file.
func readStart(path string, buf []byte) []byte {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	n, _ := file.Read(buf) // a process that is gone has no command line
	_ = file.Close()
	return buf[:n]
}

// splitArgs takes the content of a cmdline file apart.
func splitArgs(data []byte) []string {
	text := strings.TrimRight(string(data), "\x00")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\x00")
}

// isEtcd tells etcd, and this program being one.
func isEtcd(args []string) bool {
	switch path.Base(args[0]) {
	case "etcd":
		return len(args) < 2 || args[1] != "gateway" && args[1] != "grpc-proxy"
	case "etcdops":
		return len(args) > 1 && (args[1] == "serve" || args[1] == "etcd")
	}
	return false
}

func isAPIServer(args []string) bool { return path.Base(args[0]) == "kube-apiserver" }

// runningEtcd looks for an etcd among the processes. Of several, the one on etcd's usual port is taken, or on kOps'
// for the objects of Kubernetes (its events have one of their own).
func (m *machine) runningEtcd() (candidate, bool) {
	found := m.processes(isEtcd)
	if len(found) == 0 {
		return candidate{}, false
	}
	candidates := make([]candidate, len(found))
	best := 0
	for i, p := range found {
		candidates[i] = m.etcdProcess(p)
		if portRank(candidates[i]) > portRank(candidates[best]) {
			best = i
		}
	}
	c := candidates[best]
	if len(candidates) > 1 {
		var others []string
		for i, other := range candidates {
			if i != best {
				others = append(others, strings.Join(other.endpoints, ","))
			}
		}
		c.note = "also running: " + strings.Join(others, " ")
	}
	return c, true
}

func portRank(c candidate) int {
	for _, e := range c.endpoints {
		switch {
		case strings.HasSuffix(e, ":2379"):
			return 2
		case strings.HasSuffix(e, ":4001"):
			return 1
		}
	}
	return 0
}

// etcdProcess reads the settings of a running etcd: its configuration file alone if it has one, as etcd does, or its
// variables and flags.
func (m *machine) etcdProcess(p process) candidate {
	s, open, _ := m.processSettings(p)
	return m.etcdCandidate(processSource(p), s, open)
}

func processSource(p process) string { return fmt.Sprintf("running etcd, pid %d", p.pid) }

// processSettings reads the settings of a running etcd, and how to open its files; whole is false when there are more in
// a file, or in an environment, that this user may not read.
func (m *machine) processSettings(p process) (s serverSettings, open func(string) string, whole bool) {
	open = m.inProcess(p.pid)
	environ := m.read(m.proc(p.pid, "environ"), maxCommand)
	s = fromEnvironment(parseEnvironment(environ)).over(parseFlags(p.args[1:]))
	if file := s["config-file"]; file != "" {
		data := m.read(open(file), maxDiscovered)
		if data == nil {
			return s, open, false
		}
		return parseServerFile(data), open, true
	}
	return s, open, environ != nil
}

func (m *machine) proc(pid int, name string) string {
	return m.path("/proc/" + strconv.Itoa(pid) + "/" + name)
}

// inProcess turns a path that a process uses into one that can be opened here. A container sees other files than this
// program: they are reached through /proc/PID/root, unless the same file has the same name here.
func (m *machine) inProcess(pid int) func(string) string {
	return func(file string) string {
		if !path.IsAbs(file) {
			if cwd, err := os.Readlink(m.proc(pid, "cwd")); err == nil {
				file = path.Join(cwd, file)
			}
		}
		here, there := m.path(file), filepath.Join(m.proc(pid, "root"), file)
		inside, err := os.Stat(there)
		if err != nil { // only root may look inside; outside of a container it is the same file
			return here
		}
		if outside, err := os.Stat(here); err == nil && os.SameFile(inside, outside) {
			return here
		}
		return there
	}
}

// runningAPIServer looks for a kube-apiserver among the processes.
func (m *machine) runningAPIServer() (candidate, bool) {
	for _, p := range m.processes(isAPIServer) {
		source := fmt.Sprintf("running kube-apiserver, pid %d", p.pid)
		if c, ok := apiserverCandidate(source, parseFlags(p.args[1:]), m.inProcess(p.pid)); ok {
			return c, true
		}
	}
	return candidate{}, false
}
