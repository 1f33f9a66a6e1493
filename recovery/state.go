package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// StateDir is where the journals of one user of this machine are.
type StateDir struct{ Path string }

// DefaultStateDir is etcdops in XDG_STATE_HOME where that is set; else /var/lib/etcdops for root, ~/.local/state/etcdops for
// others.
func DefaultStateDir(root bool, getenv func(string) string) StateDir {
	switch home := getenv("XDG_STATE_HOME"); {
	case filepath.IsAbs(home):
		return StateDir{filepath.Join(home, "etcdops")}
	case root:
		return StateDir{"/var/lib/etcdops"}
	}
	return StateDir{filepath.Join(getenv("HOME"), ".local", "state", "etcdops")}
}

// Held is the right to operate on one cluster from this machine, until Release or the end of the process.
type Held struct{ file *os.File }

// Release gives the right back.
func (h *Held) Release() error { return h.file.Close() }

// Close is Release.
func (h *Held) Close() error { return h.Release() }

// Acquire takes the lock of a cluster's operations on this machine. Another process that holds it is an error of
// ops.ClassRefused, which names it.
func (s StateDir) Acquire(cluster ops.ClusterID) (*Held, error) {
	if err := os.MkdirAll(s.Path, 0o700); err != nil {
		return nil, &ops.HintError{
			Code: CodeState, Class: ops.ClassFailure, Op: "make the directory of journals", Err: err,
			Hint: "name another: --state-dir DIR",
		}
	}
	path := filepath.Join(s.Path, cluster.String()+".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, journalError("open lock", path, err)
	}
	if err := tryLock(f); err != nil {
		holder, _ := os.ReadFile(path) // only told
		return nil, errors.Join(&ops.HintError{
			Code: CodeLocked, Class: ops.ClassRefused, Op: "lock", Member: path,
			Err:  fmt.Errorf("another run works on cluster %s from this machine (process %s)", cluster, cmp.Or(strings.TrimSpace(string(holder)), "unknown")),
			Hint: "wait for its end; if it was stopped half-way: etcdops recover member --resume",
		}, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		return nil, journalError("write lock", path, errors.Join(err, f.Close()))
	}
	return &Held{f}, nil
}

// Journals reads all journals, the oldest first. Those that cannot be read are told in unreadable.
func (s StateDir) Journals() (journals []*Journal, unreadable []error, err error) {
	entries, err := os.ReadDir(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, journalError("list journals", s.Path, err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), journalSuffix) {
			continue
		}
		j, err := ReadJournal(filepath.Join(s.Path, e.Name()))
		switch {
		case errors.Is(err, errNoPlan): // killed before anything was confirmed
		case err != nil:
			unreadable = append(unreadable, err)
		default:
			journals = append(journals, j)
		}
	}
	slices.SortFunc(journals, func(a, b *Journal) int { return cmp.Compare(a.Operation(), b.Operation()) })
	return journals, unreadable, nil
}

// Unfinished is the journal of a kind that was not ended, nil when there is none. More than one is an error: the caller
// must name one. A journal that cannot be read may be one of these and is an error too.
func (s StateDir) Unfinished(kind string, cluster ops.ClusterID) (*Journal, error) {
	journals, unreadable, err := s.Journals()
	if err = errors.Join(append([]error{err}, unreadable...)...); err != nil {
		return nil, err
	}
	var open []*Journal
	for _, j := range journals {
		if _, ended := j.Ended(); !ended && j.Plan.Kind == kind && j.Plan.ClusterID == cluster {
			open = append(open, j)
		}
	}
	switch len(open) {
	case 0:
		return nil, nil
	case 1:
		return open[0], nil
	}
	return nil, &ops.HintError{
		Code: CodeSeveral, Class: ops.ClassUsage, Op: "resume", Member: s.Path,
		Err: fmt.Errorf("%d operations are not finished", len(open)), Hint: "etcdops recover list shows them; name one: --operation NAME",
	}
}
