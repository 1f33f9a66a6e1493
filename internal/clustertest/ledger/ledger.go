package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Outcome is what is known of a write.
type Outcome string

// The outcomes. A write without one, because the writer died, is unknown.
const (
	Unknown      Outcome = "unknown"      // it may have happened, or may still happen
	Acknowledged Outcome = "acknowledged" // the cluster said that it happened
	Failed       Outcome = "failed"       // it did not happen and never will
)

// Entry is one write.
type Entry struct {
	Key      string
	Value    string
	Outcome  Outcome
	Revision int64  // of an acknowledged write
	Member   string // that acknowledged it
	Error    string // of a write that was not acknowledged
}

// Ledger is the record of writes, in a file. Its methods may be called by many goroutines at once.
type Ledger struct {
	mu      sync.Mutex
	file    *os.File
	written uint64 // lines
	synced  uint64 // lines that are surely on disk
	syncing *sync.Cond
	busy    bool // somebody is syncing
	err     error
}

// line is one line of the file: an intent (Value) or an outcome.
type line struct {
	Key      string  `json:"key"`
	Value    string  `json:"value,omitempty"`
	Outcome  Outcome `json:"outcome,omitempty"`
	Revision int64   `json:"revision,omitempty"`
	Member   string  `json:"member,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Create makes a new ledger in file.
func Create(file string) (*Ledger, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	l := &Ledger{file: f}
	l.syncing = sync.NewCond(&l.mu)
	return l, nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.file.Close() }

// Intend records a write that is about to be sent.
func (l *Ledger) Intend(key, value string) error {
	_, err := l.append(line{Key: key, Value: value})
	return err
}

// Conclude records what became of a write; it returns when the record is on disk.
func (l *Ledger) Conclude(e Entry) error {
	n, err := l.append(line{Key: e.Key, Outcome: e.Outcome, Revision: e.Revision, Member: e.Member, Error: e.Error})
	if err != nil {
		return err
	}
	return l.sync(n)
}

// append writes a line and returns its number.
func (l *Ledger) append(entry line) (uint64, error) {
	text, err := json.Marshal(entry)
	if err != nil {
		return 0, fmt.Errorf("encode ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(append(text, '\n')); err != nil {
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	l.written++
	return l.written, nil
}

// sync returns when line n is on disk. One fsync serves all that wait for it.
func (l *Ledger) sync(n uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.synced < n && l.err == nil {
		if l.busy {
			l.syncing.Wait()
			continue
		}
		l.busy = true
		upTo := l.written
		l.mu.Unlock()
		err := l.file.Sync()
		l.mu.Lock()
		l.busy, l.synced = false, upTo
		if err != nil {
			l.err = fmt.Errorf("sync ledger: %w", err)
		}
		l.syncing.Broadcast()
	}
	return l.err
}

// Load reads the ledger in file, in the order of the intents. A torn last line, left by a writer that died, is no error;
// anything else that cannot be read is.
func Load(file string) ([]Entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer func() { _ = f.Close() }()
	var entries []Entry
	byKey := map[string]int{}
	for r, n := bufio.NewReader(f), 1; ; n++ {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read ledger: %w", err)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("read ledger %s, line %d: %w", file, n, err)
		}
		if entries, err = l.addTo(entries, byKey); err != nil {
			return nil, fmt.Errorf("read ledger %s, line %d: %w", file, n, err)
		}
	}
}

// addTo adds an intent to the entries, or an outcome to the entry of its key.
func (l line) addTo(entries []Entry, byKey map[string]int) ([]Entry, error) {
	i, known := byKey[l.Key]
	if l.Outcome == "" {
		if known {
			return nil, fmt.Errorf("a second intent for key %q", l.Key)
		}
		byKey[l.Key] = len(entries)
		return append(entries, Entry{Key: l.Key, Value: l.Value, Outcome: Unknown}), nil
	}
	if !known {
		return nil, fmt.Errorf("an outcome without intent for key %q", l.Key)
	}
	e := &entries[i]
	e.Outcome, e.Revision, e.Member, e.Error = l.Outcome, l.Revision, l.Member, l.Error
	return entries, nil
}
