package main

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// machine describes where a row was measured; what could not be found out is empty or 0.
type machine struct {
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	MemoryGB float64 `json:"memory_gb"`
	Kernel   string  `json:"kernel"`
	Disk     string  `json:"disk"`    // device and file system that held the data
	SyncMS   float64 `json:"sync_ms"` // median of an fdatasync of 2,300 bytes on that disk
}

// inspect describes this machine and the disk that holds dir.
func inspect(dir string) (machine, error) {
	m := machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), MemoryGB: memoryGB(),
		Kernel: runtime.GOOS + " " + kernelRelease(), Disk: diskOf(dir),
	}
	var err error
	m.SyncMS, err = syncTime(dir)
	return m, err
}

// environment sums up where and with what a row was measured.
func (r *record) environment() string {
	m := r.Machine
	parts := []string{cmp.Or(m.CPU, "unknown processor"), fmt.Sprintf("%d cores", m.Cores)}
	if m.MemoryGB > 0 {
		parts = append(parts, number(m.MemoryGB)+" GB")
	}
	parts = append(parts, m.Kernel, "disk "+cmp.Or(m.Disk, "unknown"))
	if m.SyncMS > 0 {
		parts = append(parts, "fdatasync "+number(m.SyncMS)+" ms")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Programs)) {
		parts = append(parts, name+" "+r.Programs[name])
	}
	return strings.Join(parts, "; ")
}

// values returns one value a round.
func (r *record) values(side, metric string) []float64 { return r.Samples[side][metric] }
