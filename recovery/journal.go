package recovery

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// JournalSchema names the form of a journal's lines.
const JournalSchema = "etcdops.journal/v1"

// The types of records.
const (
	RecordPlan   = "plan"   // the first line: what was confirmed
	RecordIntent = "intent" // a step is about to act
	RecordDone   = "done"   // a step's effect was seen
	RecordUndone = "undone" // the effect of a step was taken back: it is to be done again
	RecordData   = "data"   // something that later steps need
	RecordEnd    = "end"    // the operation is over
)

// Record is one line of a journal.
type Record struct {
	Schema string          `json:"schema"`
	Seq    int             `json:"seq"` // from 1, without gaps
	Time   time.Time       `json:"time"`
	Type   string          `json:"type"`
	Step   string          `json:"step,omitempty"`
	Key    string          `json:"key,omitempty"`  // of data
	Data   json.RawMessage `json:"data,omitempty"` // the plan, or the value of Key
	Note   string          `json:"note,omitempty"` // for people
}

// Journal is the record of one operation: JSON lines in a file, each on disk before the call that wrote it returns. One
// process writes it at a time (see StateDir.Acquire).
type Journal struct {
	Plan *Plan

	file    *os.File
	path    string
	records []Record
	broken  error // of the first record that could not be written: nothing may follow half a line
}

// CreateJournal begins the journal of a plan in dir. The file and its name are on disk when it returns.
func CreateJournal(dir string, plan *Plan) (*Journal, error) {
	path := filepath.Join(dir, plan.Operation+journalSuffix)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, journalError("create journal", path, err)
	}
	j := &Journal{Plan: plan, file: f, path: path}
	data, err := json.Marshal(plan)
	if err == nil {
		err = j.write(Record{Type: RecordPlan, Data: data})
	}
	if err == nil {
		err = SyncDir(dir)
	}
	if err != nil {
		return nil, journalError("create journal", path, errors.Join(err, f.Close()))
	}
	return j, nil
}

const journalSuffix = ".jsonl"

// OpenJournal continues a journal. A torn last line, left by a process that was killed while it wrote, is cut off: what
// it would have said was not acted on.
func OpenJournal(path string) (*Journal, error) {
	j, torn, err := readJournal(path)
	if err != nil {
		return nil, err
	}
	j.file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, journalError("open journal", path, err)
	}
	if torn >= 0 {
		err := j.file.Truncate(torn)
		if err == nil {
			err = j.file.Sync()
		}
		if err != nil {
			return nil, journalError("mend journal", path, errors.Join(err, j.file.Close()))
		}
	}
	return j, nil
}

// ReadJournal reads a journal without the right to continue it.
func ReadJournal(path string) (*Journal, error) {
	j, _, err := readJournal(path)
	return j, err
}

// readJournal reads all records; torn is the offset of a torn last line, -1 when there is none.
func readJournal(path string) (j *Journal, torn int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &ops.HintError{
			Code: CodeNothing, Class: ops.ClassUsage, Op: "find operation", Member: strings.TrimSuffix(filepath.Base(path), journalSuffix),
			Err: fmt.Errorf("there is none of that name in %s", filepath.Dir(path)), Hint: "etcdops recover list",
		}
	}
	if err != nil {
		return nil, 0, journalError("read journal", path, err)
	}
	defer func() { _ = f.Close() }() // only read
	j, torn = &Journal{path: path}, -1
	var offset int64
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			if len(line) > 0 {
				torn = offset
			}
			return j, torn, j.check()
		case err != nil:
			return nil, 0, journalError("read journal", path, err)
		}
		offset += int64(len(line))
		if err := j.add(line); err != nil {
			return nil, 0, journalError("read journal", path, err)
		}
	}
}

// add takes one line in.
func (j *Journal) add(line []byte) error {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("line %d: %w", len(j.records)+1, err)
	}
	if r.Seq != len(j.records)+1 || r.Schema != JournalSchema {
		return fmt.Errorf("line %d is record %d of schema %q", len(j.records)+1, r.Seq, r.Schema)
	}
	if r.Type == RecordPlan {
		j.Plan = &Plan{}
		if err := json.Unmarshal(r.Data, j.Plan); err != nil {
			return fmt.Errorf("its plan: %w", err)
		}
	}
	j.records = append(j.records, r)
	return nil
}

// check refuses what cannot be continued.
func (j *Journal) check() error {
	if j.Plan == nil {
		return journalError("read journal", j.path, errNoPlan)
	}
	if err := j.Plan.Verify(); err != nil {
		return journalError("read journal", j.path, err)
	}
	return nil
}

var errNoPlan = errors.New("it holds no plan: the operation was ended before it began")

// Path is the journal's file.
func (j *Journal) Path() string { return j.path }

// Records are all records so far.
func (j *Journal) Records() []Record { return slices.Clone(j.records) }

// Close gives the file back. The journal stays.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// write appends a record and returns when it is on disk. After a failure nothing is appended any more: what is on disk is
// not known, and a record behind half of one would make the whole journal unreadable. OpenJournal cuts that half off.
func (j *Journal) write(r Record) error {
	if j.broken != nil {
		return j.broken
	}
	r.Schema, r.Seq, r.Time = JournalSchema, len(j.records)+1, time.Now().UTC()
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if bytes.ContainsRune(text, '\n') {
		return errors.New("encode record: a line break within")
	}
	_, err = j.file.Write(append(text, '\n'))
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = journalError("write journal", j.path, err)
		return j.broken
	}
	j.records = append(j.records, r)
	return nil
}

// Intent records that a step is about to act.
func (j *Journal) Intent(step string) error { return j.write(Record{Type: RecordIntent, Step: step}) }

// Done records that a step's effect was seen; note says how, where that is worth telling.
func (j *Journal) Done(step, note string) error {
	return j.write(Record{Type: RecordDone, Step: step, Note: note})
}

// Undone records that the effects of steps were taken back: they will be done again.
func (j *Journal) Undone(note string, steps ...string) error {
	for _, step := range steps {
		if err := j.write(Record{Type: RecordUndone, Step: step, Note: note}); err != nil {
			return err
		}
	}
	return nil
}

// End records that the operation is over, and how.
func (j *Journal) End(note string) error { return j.write(Record{Type: RecordEnd, Note: note}) }

// Put keeps a value for later steps, also those of a resumed run.
func (j *Journal) Put(key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	return j.write(Record{Type: RecordData, Key: key, Data: data})
}

// Get reads the newest value of key into value and reports whether there is one.
func (j *Journal) Get(key string, value any) (bool, error) {
	for _, r := range slices.Backward(j.records) {
		if r.Type == RecordData && r.Key == key {
			if err := json.Unmarshal(r.Data, value); err != nil {
				return false, journalError("read "+key+" from journal", j.path, err)
			}
			return true, nil
		}
	}
	return false, nil
}

// IsDone reports whether a step was done and not taken back since.
func (j *Journal) IsDone(step string) bool { return j.last(step) == RecordDone }

// Began reports whether a step may have acted: an intent or more is recorded.
func (j *Journal) Began(step string) bool { return j.last(step) != "" }

func (j *Journal) last(step string) string {
	for _, r := range slices.Backward(j.records) {
		if r.Step == step {
			return r.Type
		}
	}
	return ""
}

// Ended reports whether the operation is over, and how.
func (j *Journal) Ended() (note string, ended bool) {
	for _, r := range j.records {
		if r.Type == RecordEnd {
			return r.Note, true
		}
	}
	return "", false
}

// Changed reports whether a step that changes the cluster or a disk has begun.
func (j *Journal) Changed() bool {
	return slices.ContainsFunc(j.Plan.Steps, func(s Step) bool { return s.Changes && j.Began(s.ID) })
}

// Operation is the name of the operation.
func (j *Journal) Operation() string {
	return strings.TrimSuffix(filepath.Base(j.path), journalSuffix)
}
