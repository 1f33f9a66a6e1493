// Package seed makes the data directory of a new cluster out of what is left of an old one, without touching the old: a
// copy whose log is committed to its end, a server that applies it where nobody else can talk to it, and a restore under
// a token that no old directory has.
//
// Everything happens in a working directory. Each stage leaves its result under a name that it gets when it is whole and
// on disk, so that a stage that was killed is done again.
package seed

import "path/filepath"

// Work is the working directory, on the file system of the new data directory.
type Work struct {
	Dir string `json:"dir"`
	// WALDir is where a log of its own directory is staged, on that directory's file system; empty when the log belongs
	// into the data directory.
	WALDir string `json:"wal_dir"`
}

// Replica is the copy that is sealed and replayed.
func (w Work) Replica() string { return filepath.Join(w.Dir, "replica") }

// Staged is the new data directory, before it takes its place.
func (w Work) Staged() string { return filepath.Join(w.Dir, "staged") }

// StagedWAL is where the new log is, before it takes its place.
func (w Work) StagedWAL() string {
	if w.WALDir == "" {
		return filepath.Join(w.Staged(), "member", "wal")
	}
	return filepath.Join(w.WALDir, "wal")
}

const partial = ".partial"
