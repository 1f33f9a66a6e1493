package main

import (
	"fmt"
	"io"
	"regexp"
)

// table lists the rows of the report. A new row is a file with a function like these and its line here.
func table() []experiment {
	return []experiment{
		writesOne(),
		writesThree(),
		writesSpread(),
		v2Keys(),
		startToReady(),
		idleMemory(),
		versionWall(),
		healthCheck(),
		healthAlone(),
		healthRefused(),
		healthHung(),
		healthDistant(),
		healthMany(),
		clockProbing(),
		clockDate(),
		binarySize(),
		scanKeys(),
		scanKeysFile(),
		scanValues(),
		backupCreate(),
		backupServe(),
		snapshotSave(),
		snapshotStatus(),
		snapshotStatusCold(),
		snapshotRestore(),
		backupVerify(),
		backupLarge(),
		pitrReplay(),
		recoverMember(),
		rebuildCluster(),
		inspectDirectory(), // last of the fleet's: it stops it
	}
}

// chosen returns the rows whose name matches.
func chosen(rows []experiment, only *regexp.Regexp) []experiment {
	var out []experiment
	for _, e := range rows {
		if only.MatchString(e.name) {
			out = append(out, e)
		}
	}
	return out
}

// list writes a row's name and bounds a line.
func list(w io.Writer, rows []experiment) {
	for _, e := range rows {
		fmt.Fprintf(w, "%-16s %s\n", e.name, e.title)
		for _, b := range e.bounds {
			fmt.Fprintf(w, "%16s %s of %s %s\n", "", b.metric, b.side, b.text(e.unit(b.metric)))
		}
	}
}
