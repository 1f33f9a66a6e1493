package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuModel returns the processor's name, or "".
func cpuModel() string { return procField("/proc/cpuinfo", "model name") }

// memoryGB returns the memory in units of 1,000,000,000 bytes, or 0.
func memoryGB() float64 { return float64(procKiB("/proc/meminfo", "MemTotal")) * 1024 / 1e9 }

// kernelRelease returns what uname -r prints, or "".
func kernelRelease() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease") // described as unknown
	return strings.TrimSpace(string(text))
}

// loadAverage returns the load of the last minute, or 0.
func loadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg") // 0 where there is none
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}

// procField returns the value of the first line "name : value" of a file under /proc, or "".
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// procKiB returns a value that /proc gives in kB, or 0.
func procKiB(path, name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(procField(path, name), " kB"), 10, 64)
	return n
}

// diskOf names the disk under dir and its file system: "vda, ext4"; or "". Whether it rotates is not said: the kernel
// takes virtual disks for rotating ones, and the time of a sync tells more.
func diskOf(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	id := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	device, err := filepath.EvalSymlinks("/sys/dev/block/" + id)
	if err != nil { // no disk: memory, network, overlay
		return mountType(id)
	}
	return filepath.Base(device) + ", " + mountType(id)
}

// mountType returns the type of the file system on the device with this number.
func mountType(id string) string {
	text, _ := os.ReadFile("/proc/self/mountinfo") // described as unknown
	for line := range strings.Lines(string(text)) {
		mount, source, ok := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if ok && len(fields) > 2 && fields[2] == id {
			kind, _, _ := strings.Cut(source, " ")
			return kind
		}
	}
	return ""
}

// syncTime measures the disk as etcd's log uses it: the median of 50 times 2,300 bytes appended and fdatasync-ed, in ms.
func syncTime(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	var times []float64
	for range 50 {
		if _, err := f.Write(make([]byte, 2300)); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
		times = append(times, milliseconds(time.Since(start)))
	}
	return median(times), nil
}
