package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
	"github.com/etcdops/etcdops/recovery/seed"
)

// Workshop is a machine on which sources are, and on which the first member's new directory can be made. Bench is the one
// that this process runs on; drivers reach others.
type Workshop interface {
	Inspector
	// Servers lists what could replay a log there.
	Servers(ctx context.Context) ([]Server, error)
	// Stage carries one stage out. It may be repeated; one that was killed is done again. Two runs at once on one working
	// directory are refused.
	Stage(ctx context.Context, order StageOrder, tell Tell) (StageResult, error)
	// Send writes the rest of a file that StageList listed there.
	Send(ctx context.Context, parcel Parcel, w io.Writer) error
	// Receive takes it into the working directory there. What has arrived stays when the stream breaks.
	Receive(ctx context.Context, parcel Parcel, r io.Reader, tell Tell) error
}

// The stages of a new directory.
const (
	StageLook    = "look"    // what is there? changes nothing
	StageList    = "list"    // of the source: the files that the others need, with checksums
	StageArrived = "arrived" // how much of a file was brought here? changes nothing
	StageCarry   = "carry"   // make what was brought here durable
	StageCopy    = "copy"    // copy the source's database
	StageSeal    = "seal"    // commit the copy's log up to Last
	StageReplay  = "replay"  // apply it up to Last in Server, which nobody else can talk to
	StageRestore = "restore" // make the new directory beside the old one
	StagePlace   = "place"   // put it into the empty directory of the old one
	StageRemove  = "remove"  // remove what was made on the way
)

// StageOrder is what is to be done in a stage; what a stage does not need is empty. It round-trips through JSON.
type StageOrder struct {
	Stage   string         `json:"stage"`
	Work    seed.Work      `json:"work"`
	Info    *datadir.Info  `json:"info,omitempty"`    // of the source: list, copy, seal; restore, when there is no copy
	Last    uint64         `json:"last,omitempty"`    // seal, replay
	Server  string         `json:"server,omitempty"`  // replay: a program's path, empty for etcdops itself
	Target  *seed.Target   `json:"target,omitempty"`  // restore; its name for replay too
	Proof   *HashProof     `json:"proof,omitempty"`   // restore: what must be in it, before the revision is raised
	Carried []seed.Carried `json:"carried,omitempty"` // arrived, carry
	DataDir string         `json:"data_dir"`          // place, look
	WALDir  string         `json:"wal_dir,omitempty"` // place
	UID     int            `json:"uid"`               // place: who owns the files, where this is root
	GID     int            `json:"gid"`
}

// StageResult is what a stage found or made.
type StageResult struct {
	Carried  []seed.Carried `json:"carried_files,omitempty"` // list
	Arrived  int64          `json:"arrived,omitempty"`       // arrived: bytes
	Whole    bool           `json:"whole,omitempty"`         // arrived: with the right checksum
	Here     bool           `json:"here"`                    // look: the source was brought here
	Replica  bool           `json:"replica"`                 // look: the copy is there
	Sealed   bool           `json:"sealed"`
	Restored bool           `json:"restored"`
	Placed   bool           `json:"placed"` // a database is in the member's directory

	Copied    []seed.Copied `json:"copied,omitempty"`     // copy, restore: what was read
	Proof     *HashProof    `json:"proof,omitempty"`      // replay: what the database has now
	ClusterID ops.ClusterID `json:"cluster_id,omitempty"` // restore: of the new directory
	Serves    *datadir.Hash `json:"serves,omitempty"`     // restore: what a member must serve that starts on it
}

// Bench is the workshop on this machine.
type Bench struct {
	Inspector
	Own   Program  // this program as a server
	Named []string // etcd programs that were named, besides the one in PATH
}

// Servers implements Workshop.
func (b Bench) Servers(ctx context.Context) ([]Server, error) { return FindServers(ctx, b.Named) }

// Stage implements Workshop.
func (b Bench) Stage(ctx context.Context, o StageOrder, tell Tell) (r StageResult, err error) {
	if o.Stage == StageLook {
		_, missing := os.Lstat(filepath.Join(o.DataDir, "member", "snap", "db"))
		return StageResult{Here: o.Work.HasCarried(), Replica: o.Work.HasReplica(), Sealed: o.Work.Sealed(), Restored: o.Work.Restored(), Placed: missing == nil}, nil
	}
	if o.Stage == StageList {
		r.Carried, err = seed.List(ctx, o.Info, func(bytes int64) { tell("checksums are made", &Transfer{Bytes: bytes}) })
		return r, err
	}
	if o.Stage == StageRemove {
		return r, o.Work.Remove()
	}
	unlock, err := lockWork(o.Work.Dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	switch o.Stage {
	case StageArrived:
		for _, c := range o.Carried {
			r.Arrived, r.Whole, err = o.Work.Arrived(c)
		}
	case StageCarry:
		err = o.Work.Carry(o.Carried)
	case StageCopy:
		r.Copied, err = o.Work.Copy(ctx, o.Info, func(bytes int64) { tell("it is copied", &Transfer{Bytes: bytes, Total: o.Info.DB.Size}) })
	case StageSeal:
		err = o.Work.Seal(o.Info, o.Last)
	case StageReplay:
		r.Proof, err = b.replay(ctx, o, tell)
	case StageRestore:
		err = b.restore(ctx, o, &r, tell)
	case StagePlace:
		err = o.Work.InPlace(o.DataDir, o.WALDir, func(path string) error {
			if os.Geteuid() != 0 {
				return nil
			}
			return os.Lchown(path, o.UID, o.GID)
		})
	default:
		err = fmt.Errorf("there is no stage %q", o.Stage)
	}
	return r, err
}

// lockWork keeps a second run out of a working directory: one on another machine may have gone on after its connection
// broke.
func lockWork(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(refusef(CodeLocked, dir, "wait for its end, then resume", "another run still works in %s", dir), f.Close())
	}
	return f.Close, nil
}

// replay applies the log and reads what the database has then.
func (b Bench) replay(ctx context.Context, o StageOrder, tell Tell) (*HashProof, error) {
	program := b.Own
	if o.Server != "" {
		program = Program{Path: o.Server, Args: []string{o.Server}}
	}
	err := o.Work.Replay(ctx, program.Path, program.Args, o.Target.Name, o.Last, replayLimit, func(text string) { tell(text, nil) })
	if err != nil {
		return nil, err
	}
	info, err := b.Inspect(ctx, filepath.Join(o.Work.Replica(), "member", "snap", "db"), datadir.Options{})
	if err != nil {
		return nil, err
	}
	switch {
	case info.State == datadir.StateDamaged || info.State == datadir.StateUnreadable || info.DB == nil || info.DB.Hash == nil:
		return nil, fmt.Errorf("the replayed database is damaged: %s", firstDamage(&info))
	case info.DB.ConsistentIndex < o.Last:
		return nil, fmt.Errorf("the replayed database ends at entry %d, before %d", info.DB.ConsistentIndex, o.Last)
	}
	proof := proofOf(info.DB)
	return &proof, nil
}

// restore makes the new directory and compares it with what must be in it.
func (b Bench) restore(ctx context.Context, o StageOrder, r *StageResult, tell Tell) error {
	told := func(bytes int64) { tell("it is written", &Transfer{Bytes: bytes}) }
	if o.Info != nil {
		told = func(bytes int64) { tell("it is copied", &Transfer{Bytes: bytes, Total: o.Info.DB.Size}) }
	}
	read, err := o.Work.Restore(ctx, o.Info, *o.Target, told, func(dir, walDir string) error {
		made, err := b.Inspect(ctx, dir, datadir.Options{WALDir: walDir})
		if err == nil {
			err = checkMade(&made, o.Target.Bump, *o.Proof)
		}
		if err != nil {
			return err
		}
		r.ClusterID, r.Serves = made.ClusterID, made.DB.Hash
		if o.Target.Bump == 0 {
			return nil
		}
		before, err := b.Inspect(ctx, dir, datadir.Options{WALDir: walDir, HashAt: o.Proof.Revision, CompactAt: &o.Proof.CompactRevision})
		if err != nil {
			return err
		}
		return checkHash(before.DB, *o.Proof)
	})
	r.Copied = []seed.Copied{read}
	return err
}

// checkHash compares the keys of a new directory with what they must be, as they were before the revision was raised.
func checkHash(db *datadir.Database, proof HashProof) error {
	switch {
	case db == nil || db.Hash == nil:
		return errors.New("the new directory's keys cannot be read")
	case *db.Hash != proof.Hash:
		return fmt.Errorf("the new directory's keys have hash %d at revision %d, not %d at %d", db.Hash.Hash, db.Hash.Revision, proof.Hash.Hash, proof.Revision)
	}
	return nil
}

// checkMade compares a new directory with what it must contain.
func checkMade(made *datadir.Info, bump int64, proof HashProof) error {
	switch {
	case made.State != datadir.StateClean || made.DB == nil || made.DB.Hash == nil:
		return fmt.Errorf("the new directory is %s: %s", made.State, firstDamage(made))
	case made.DB.Keys != proof.Keys:
		return fmt.Errorf("the new directory has %d keys, not %d", made.DB.Keys, proof.Keys)
	case bump > 0 && made.DB.Revision != proof.Revision+bump:
		return fmt.Errorf("the new directory is at revision %d, not %d", made.DB.Revision, proof.Revision+bump)
	case made.DB.AuthEnabled != proof.Auth || len(made.DB.Users) != proof.Users || made.DB.Leases != proof.Leases:
		return errors.New("the new directory does not have the users and leases of the old one")
	case bump == 0:
		return checkHash(made.DB, proof)
	}
	return nil
}

// at finds the workshop that a driver's machine is.
func at(here Workshop, remote map[string]Workshop, via string) (Workshop, error) {
	machine := machineOf(via)
	if machine == "" {
		return here, nil
	}
	if shop := remote[machine]; shop != nil {
		return shop, nil
	}
	return nil, refusef(CodeNoDriver, machine, "name it: --via NAME="+machine+", with the same version of this program there", "nothing is known of how to work on %s", machineName(via))
}

// machineOf is the machine that a driver works on: "" for this one, "ssh:HOST" for another.
func machineOf(via string) string {
	if !strings.HasPrefix(via, "ssh:") {
		return ""
	}
	machine, _, _ := strings.Cut(via, "/")
	return machine
}

// machineName is it for people.
func machineName(via string) string {
	if m := machineOf(via); m != "" {
		return strings.TrimPrefix(m, "ssh:")
	}
	return "this machine"
}
