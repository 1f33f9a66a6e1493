package server

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// portHolder names the process that listens on a TCP port: "etcd (pid 4711)". It is empty when /proc does not tell, as
// for processes of other users.
func portHolder(port int) string {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		eachLine(table, func(fields []string) {
			const listening = "0A"
			if len(fields) < 10 || fields[3] != listening || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				return
			}
			sockets["socket:["+fields[9]+"]"] = true
		})
	}
	if len(sockets) == 0 {
		return ""
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*") // fails for a malformed pattern only
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err == nil && sockets[target] {
			return processName(strings.Split(descriptor, "/")[2])
		}
	}
	return ""
}

// lockHolder names the process that holds a lock on a file, or "".
func lockHolder(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	suffix := ":" + strconv.FormatUint(stat.Ino, 10)
	holder := ""
	eachLine("/proc/locks", func(fields []string) {
		if len(fields) < 6 || fields[1] == "->" || !strings.HasSuffix(fields[5], suffix) {
			return
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			holder = processName(fields[4])
		}
	})
	return holder
}

// processName is the command of a process with its number.
func processName(pid string) string {
	comm, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "pid " + pid
	}
	return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), pid)
}

// eachLine visits the words of each line of a file; a file that cannot be read has none.
func eachLine(file string, visit func(fields []string)) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		visit(strings.Fields(lines.Text()))
	}
}
