package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const archiveSchema = "etcdops.bench/v1"

// archive keeps the raw samples of each row's last run, so that a run of some rows leaves the others in the report.
type archive struct {
	Schema string   `json:"schema"`
	Rows   []record `json:"rows"`
}

// record is one run of one row.
type record struct {
	Name     string            `json:"name"`
	Date     time.Time         `json:"date"`
	Seconds  float64           `json:"seconds"` // the run took
	Scale    float64           `json:"scale"`   // of the data; 1 is all
	Load     float64           `json:"load"`    // average of runnable processes in the minute before
	Machine  machine           `json:"machine"`
	Programs map[string]string `json:"programs"` // side or program -> version
	// Samples holds side -> metric -> one value a round.
	Samples map[string]map[string][]float64 `json:"samples"`
}

// add keeps one sample of a side.
func (r *record) add(side string, s sample) {
	if r.Samples == nil {
		r.Samples = map[string]map[string][]float64{}
	}
	if r.Samples[side] == nil {
		r.Samples[side] = map[string][]float64{}
	}
	for metric, value := range s {
		r.Samples[side][metric] = append(r.Samples[side][metric], value)
	}
}

// find returns the record of a row, or nil.
func (a *archive) find(name string) *record {
	if i := slices.IndexFunc(a.Rows, func(r record) bool { return r.Name == name }); i >= 0 {
		return &a.Rows[i]
	}
	return nil
}

// put replaces the record of a row.
func (a *archive) put(r record) {
	if old := a.find(r.Name); old != nil {
		*old = r
		return
	}
	a.Rows = append(a.Rows, r)
}

// loadArchive reads path; a file that does not exist is an empty archive, one that is no archive an error, for it would
// be overwritten.
func loadArchive(path string) (*archive, error) {
	a := &archive{Schema: archiveSchema}
	if path == "" {
		return a, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read earlier results: %w", err)
	}
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("read earlier results: %s: %w", path, err)
	}
	if a.Schema != archiveSchema {
		return nil, fmt.Errorf("read earlier results: %s has schema %q, not %s", path, a.Schema, archiveSchema)
	}
	return a, nil
}

// encode writes the archive as a file keeps it: a row a line, so that a diff shows which rows were run again.
func (a *archive) encode() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"schema\": %q, \"rows\": [", a.Schema)
	for i, row := range a.Rows {
		text, err := json.Marshal(row)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.Name, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(text)
	}
	b.WriteString("\n]}\n")
	return b.Bytes(), nil
}

// replaceFile writes path whole or not at all.
func replaceFile(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // is gone already when all went well
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
