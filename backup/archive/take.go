package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// take archives a response of the stream.
func (s *session) take(ans answer) error {
	resp := ans.resp
	s.heard = ans.at
	switch {
	case ops.ClusterID(resp.GetHeader().GetClusterId()) != s.a.cluster:
		return otherCluster(s.a.cluster, ops.ClusterID(resp.GetHeader().GetClusterId()))
	case resp.GetCompactRevision() > 0:
		return fmt.Errorf("%w: history begins at %d, the archive ends at %d", errCompacted, resp.GetCompactRevision(), s.last())
	case resp.GetCanceled():
		return fmt.Errorf("the member ended the watch: %s", resp.GetCancelReason())
	}
	s.pending = append(s.pending, resp.GetEvents()...)
	if resp.GetFragment() || len(s.pending) == 0 {
		return nil
	}
	events := s.pending
	s.pending = nil
	entries := make([]Entry, 0, len(events))
	for _, ev := range events {
		sub := int64(0)
		if ev.GetKv().GetModRevision() == s.dense.last {
			sub = s.dense.sub + 1
		}
		e, err := FromEvent(ev, sub)
		if err != nil {
			return err
		}
		rev, begins, err := s.dense.next(e.Key)
		if err != nil {
			return err
		}
		again, err := s.again(rev.Main, begins, e)
		if err != nil {
			return err
		}
		if again {
			continue
		}
		entries = append(entries, e)
		s.probe.lease(ev.GetKv().GetLease())
	}
	if s.check != nil && s.dense.last == s.a.at.last {
		if err := s.checked(); err != nil { // a response has whole revisions
			return err
		}
	}
	return s.add(ans, entries)
}

// again compares what is archived already with what comes. It says whether the entry is such.
func (s *session) again(revision int64, begins bool, e Entry) (bool, error) {
	if s.check == nil {
		return false, nil
	}
	if begins && revision > s.anchor.Revision+1 {
		s.check.end()
	}
	if revision > s.a.at.last {
		return false, s.checked()
	}
	s.check.add(e)
	return true, nil
}

// checked ends the comparison.
func (s *session) checked() error {
	chain := s.check.chain
	if s.dense.last == s.a.at.last {
		chain = s.check.end()
	}
	s.check = nil
	if chain != s.a.at.chain {
		return fmt.Errorf("%w: they differ between revisions %d and %d", errDiverged, s.anchor.Revision+1, s.a.at.last)
	}
	return nil
}

// last is the newest archived revision.
func (s *session) last() int64 {
	if s.writer != nil {
		return s.writer.Last()
	}
	return s.a.at.last
}

// add writes new changes.
func (s *session) add(ans answer, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := s.noteSync(); err != nil {
		return err
	}
	if err := s.begin(ans.at); err != nil {
		return err
	}
	if err := s.writer.Append(ans.at, entries...); err != nil {
		return err
	}
	s.a.update(func(p *Progress) {
		p.Archived = s.writer.Last()
		p.Cluster = max(p.Cluster, p.Archived)
	})
	if err := s.reached(); err != nil {
		return err
	}
	if s.writer.Bytes() >= s.a.o.SealBytes {
		return s.seal()
	}
	return nil
}

// begin makes a writer where there is none, for changes received at a time.
func (s *session) begin(at time.Time) (err error) {
	if s.writer != nil {
		return nil
	}
	s.first = at
	if s.writer, err = NewWriter(s.a.cluster, s.a.at.timeline, s.a.at.last, s.a.at.chain, s.a.o.Encryption); err != nil {
		return err
	}
	notes := s.a.carry
	s.a.carry = nil
	for _, n := range notes {
		if err := s.writer.Note(n); err != nil {
			return err
		}
	}
	return nil
}

// seal closes the segment.
func (s *session) seal() error {
	w := s.writer
	if err := s.noteSync(); err != nil {
		return err
	}
	s.writer = nil
	return s.a.keep(w)
}

// maxCarry is how many notes may wait for a change.
const maxCarry = 1000

// note adds a note to the segment, or to the next one.
func (s *session) note(n Note) error {
	if s.writer != nil {
		return s.writer.Note(n)
	}
	if len(s.a.carry) < maxCarry {
		s.a.carry = append(s.a.carry, n)
	}
	return nil
}

// noteSync notes the newest sync if it is not noted yet.
func (s *session) noteSync() error {
	if s.noted || s.synced.Revision == 0 {
		return nil
	}
	s.noted = true
	sync := s.synced
	return s.note(Note{Sync: &sync})
}

// reached takes a sync that the stream has caught up with.
func (s *session) reached() error {
	if s.check != nil || s.ahead == nil || s.last() < s.ahead.Revision {
		return nil
	}
	done := *s.ahead
	s.ahead = nil
	s.a.update(func(p *Progress) { p.Synced = done.Asked })
	if done.Revision == s.synced.Revision {
		s.synced.Asked, s.noted = done.Asked, false
		return nil
	}
	s.synced, s.noted = done, false
	return s.noteSync()
}

// onSync takes a linearizable read's answer.
func (s *session) onSync(ctx context.Context, sync Sync, lastWhenAsked int64) error {
	if sync.Revision < lastWhenAsked {
		return fmt.Errorf("%w: it is at revision %d, the archive at %d", errDiverged, sync.Revision, lastWhenAsked)
	}
	s.a.update(func(p *Progress) { p.Cluster = max(p.Cluster, sync.Revision) })
	if s.ahead == nil || sync.Revision == s.ahead.Revision {
		s.ahead = &sync
	}
	if err := s.reached(); err != nil {
		return err
	}
	if s.writer == nil && s.synced.Revision == s.a.at.last && s.check == nil && sync.Asked.Sub(s.probe.idleTold) >= s.a.o.SealAfter {
		s.probe.idleTold = sync.Asked
		if err := s.a.putIdle(ctx, s.synced); err != nil {
			s.a.tell(EventStore, err, "the store was not told that the archive is alive: %v", err)
		}
	}
	return nil
}
