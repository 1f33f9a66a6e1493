package cmd

import (
	"os"
	"runtime"
	"runtime/debug"
)

// startGCPercent is what the collector is set to until its first run: the heap may grow to four times the 4 MiB at which
// Go collects first. The value is one that nobody else sets, so that the first run can tell whether it still holds.
const startGCPercent = 399

// postponeGC spares short commands the collection of the garbage that the program's own start makes, which would be a
// tenth of their time. With the first collection, which a command that goes on to allocate will see, Go's default is
// back. A GOGC in the environment stays in force, and so does what a command sets.
func postponeGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	goDefault := debug.SetGCPercent(startGCPercent)
	runtime.AddCleanup(new(*byte), func(percent int) {
		if chosen := debug.SetGCPercent(percent); chosen != startGCPercent {
			debug.SetGCPercent(chosen)
		}
	}, goDefault)
}
