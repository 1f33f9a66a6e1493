package server

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// availableMemory is the smallest of the machine's memory and the limits of this process's cgroup and those above it, in
// bytes; 0 when it is unknown.
func availableMemory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	memory := uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // the width differs between processors
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return memory
	}
	return min(memory, cgroupLimit("/sys/fs/cgroup", string(text), memory))
}

// cgroupLimit walks from the process's group to the root; membership is the content of /proc/self/cgroup.
func cgroupLimit(root, membership string, memory uint64) uint64 {
	for line := range strings.Lines(membership) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "": // version 2
			memory = lowestLimit(root, parts[2], "memory.max", memory)
		case strings.Contains(","+parts[1]+",", ",memory,"): // version 1
			memory = lowestLimit(filepath.Join(root, "memory"), parts[2], "memory.limit_in_bytes", memory)
		}
	}
	return memory
}

// lowestLimit reads the limit in group and in each group above it. In a container the path of the host is not there, and
// the root holds the container's own limit.
func lowestLimit(root, group, file string, memory uint64) uint64 {
	for {
		text, err := os.ReadFile(filepath.Join(root, group, file))
		if err == nil {
			if limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 {
				memory = min(memory, limit)
			}
		}
		if group == "/" || group == "." || group == "" {
			return memory
		}
		group = filepath.Dir(group)
	}
}
