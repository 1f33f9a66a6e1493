// Package latergc spares short commands the collection of the garbage that the program's own start makes, which would
// be a tenth of their time.
//
// The packages of the etcd server and of the libraries allocate almost the 4 MiB at which Go collects first while they
// are initialised: so it must be done before their turn. Of the packages whose imports are initialised, the first by
// import path goes next, and this one imports nothing but the standard library. Should that ever change, the collector
// runs early as it would without this package.
package latergc

import (
	"os"
	"runtime"
	"runtime/debug"
)

// startPercent is what the collector is set to until its first run: the heap may grow to four times the 4 MiB. The value
// is one that nobody else sets, so that the first run can tell whether it still holds.
const startPercent = 399

// With the first collection, which a command that goes on to allocate will see, Go's default is back. A GOGC in the
// environment stays in force, and so does what a command sets.
//
//nolint:gochecknoinits // only an init can come before the other packages' own
func init() {
	if os.Getenv("GOGC") != "" {
		return
	}
	goDefault := debug.SetGCPercent(startPercent)
	runtime.AddCleanup(new(*byte), func(percent int) {
		if chosen := debug.SetGCPercent(percent); chosen != startPercent {
			debug.SetGCPercent(chosen)
		}
	}, goDefault)
}
