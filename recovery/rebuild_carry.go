package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/etcdops/etcdops/recovery/datadir"
	"github.com/etcdops/etcdops/recovery/seed"
)

// StepCarry brings the source to the machine on which the new cluster begins.
const StepCarry = "carry"

// keyCarried is the journal's list of []seed.Carried.
const keyCarried = "carried"

// Parcel is a file on its way from one machine to another, through this one. It round-trips through JSON.
type Parcel struct {
	Work   seed.Work    `json:"work"` // of the machine that receives it
	File   seed.Carried `json:"file"`
	Offset int64        `json:"offset"` // so many bytes are there already
}

// Send implements Workshop.
func (b Bench) Send(_ context.Context, p Parcel, w io.Writer) error {
	return seed.Send(p.File, p.Offset, w)
}

// Receive implements Workshop.
func (b Bench) Receive(ctx context.Context, p Parcel, r io.Reader, tell Tell) (err error) {
	unlock, err := lockWork(p.Work.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return p.Work.Receive(ctx, p.File, p.Offset, r, func(bytes int64) {
		tell("it arrives", &Transfer{Bytes: bytes, Total: p.File.Bytes})
	})
}

// carries says that the source is on another machine than the one on which the new cluster begins.
func (p *RebuildPlan) carries() bool {
	via := p.Members[0].Via
	return via != "" && machineOf(via) != machineOf(p.Source.Via)
}

// roomToCarry refuses a source that does not fit on the machine that it is brought to: what is brought, a copy of the database,
// the new directory made of that, and the logs. All of it is there at once, and nothing of what was there may go.
func (p *RebuildPlan) roomToCarry(facts RebuildFacts, source *Candidate) error {
	n := facts.node(p.Members[0].Name)
	if !p.carries() || n == nil || n.Survey == nil {
		return nil
	}
	db, logs := source.Info.DB.Size, int64(0)
	if w := source.log(); w != nil {
		for _, s := range w.Segments {
			logs += s.Size
		}
	}
	bytes := 3*db + logs
	if p.Replay { // the copy has a log of its own, to which the server that replays it adds
		bytes += logs + logRoom
	}
	need := []space{{bytes + logRoom, "what is brought, a copy of its database, and the new directory"}}
	if len(n.Survey.Dirs) > 1 {
		need = []space{{bytes, need[0].why}, {logRoom, "an empty log"}}
	}
	if err := lacking(n.Survey.Dirs, need); err != nil {
		return rebuildRefusal(CodeDiskSmall, n.Name, makeRoom, "%w", err)
	}
	return nil
}

// sourceHere is the source as the first member's machine sees it.
func (r *RebuildRun) sourceHere() Source {
	s := r.plan().Source
	if !r.plan().carries() {
		return s
	}
	file := ""
	if r.plan().Backup {
		file = filepath.Base(s.Path)
	}
	s.Path, s.WALDir, s.Via = r.work().CarriedSource(file), "", r.host().Via
	return s
}

// carryAction brings the source to the first member's machine.
type carryAction struct{ rebuildBase }

// Done implements Action.
func (a *carryAction) Done(ctx context.Context) (bool, error) {
	seen, err := a.look(ctx)
	return seen.Here, err
}

// Do implements Action.
func (a *carryAction) Do(ctx context.Context, tell Tell) error {
	from, err := at(a.r.Here, a.r.Remote, a.r.plan().Source.Via)
	if err != nil {
		return err
	}
	info, err := a.inspectAt(ctx, a.r.plan().Source)
	if err != nil {
		return err
	}
	listed, err := from.Stage(ctx, StageOrder{Stage: StageList, Work: a.r.work(), Info: info}, tell)
	if err != nil {
		return fmt.Errorf("on %s: %w", machineName(a.r.plan().Source.Via), err)
	}
	for _, file := range listed.Carried {
		if err := a.carry(ctx, from, file, tell); err != nil {
			return fmt.Errorf("bring %s from %s to %s: %w", file.Path, machineName(a.r.plan().Source.Via), machineName(a.r.host().Via), err)
		}
	}
	if _, err := a.stage(ctx, StageOrder{Stage: StageCarry, Carried: listed.Carried}, tell); err != nil {
		return err
	}
	return a.r.Journal.Put(keyCarried, listed.Carried)
}

// carry brings one file, of which a part may be there.
func (a *carryAction) carry(ctx context.Context, from Workshop, file seed.Carried, tell Tell) error {
	to, err := at(a.r.Here, a.r.Remote, a.r.host().Via)
	if err != nil {
		return err
	}
	seen, err := a.stage(ctx, StageOrder{Stage: StageArrived, Carried: []seed.Carried{file}}, tell)
	if err != nil || seen.Whole {
		return err
	}
	parcel := Parcel{Work: a.r.work(), File: file, Offset: seen.Arrived}
	pipe, sending := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := from.Send(ctx, parcel, sending)
		_ = sending.CloseWithError(err) // it is always nil
		sent <- err
	}()
	err = to.Receive(ctx, parcel, pipe, tell)
	_ = pipe.CloseWithError(errors.New("the other machine takes no more")) // it is always nil
	return errors.Join(<-sent, err)
}

// inspectAt looks at a place of the source, without its keys, and refuses it when its log is not the plan's.
func (b rebuildBase) inspectAt(ctx context.Context, s Source) (*datadir.Info, error) {
	shop, err := at(b.r.Here, b.r.Remote, s.Via)
	if err != nil {
		return nil, err
	}
	info, err := shop.Inspect(ctx, s.Path, datadir.Options{WALDir: s.WALDir, NoHash: true, Verified: s.Backup != ""})
	if err != nil {
		return nil, err
	}
	for _, row := range b.r.plan().Ranking {
		if !row.Seed {
			continue
		}
		w := info.WAL
		if info.DB == nil || info.MemberID != row.Member || w != nil && (w.LastTerm != row.LastTerm || w.LastIndex != row.LastIndex || w.Commit != row.Commit) {
			return nil, refusef(CodeStale, s.Name, "etcdops rebuild-cluster plan", "%s is not as it was when the plan was made", s.Path)
		}
	}
	return &info, nil
}
