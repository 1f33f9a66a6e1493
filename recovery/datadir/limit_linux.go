package datadir

import (
	"time"

	"golang.org/x/sys/unix"
)

// limitProcess limits this process for good: private memory, processor time, no core file, and no byte written to any
// file. Limits that are lower already stay.
func limitProcess(cpu time.Duration) error {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_DATA:  workerMemory,
		unix.RLIMIT_CPU:   uint64(max(cpu.Seconds(), 1)),
		unix.RLIMIT_CORE:  0,
		unix.RLIMIT_FSIZE: 0,
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return err
		}
		limit := unix.Rlimit{Cur: min(most, now.Cur), Max: min(most, now.Max)}
		if err := unix.Setrlimit(resource, &limit); err != nil {
			return err
		}
	}
	return nil
}
