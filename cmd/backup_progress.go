package cmd

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/ui"
)

// backupEventJSON is schema etcdops.backup_event/v1: how far a command is, one a line on standard error with -w json.
type backupEventJSON struct {
	Schema    string    `json:"schema"`
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`   // "etcdops backup create" and so on
	Backup    backup.ID `json:"backup"`      // that is worked on; empty where it has none yet
	Stage     string    `json:"stage"`       // begin, snapshot, verify, upload, hash, download, restore, replay, archive, start, compare
	Since     time.Time `json:"since"`       // when the stage began
	Bytes     int64     `json:"bytes"`       // done in this stage
	Total     int64     `json:"total"`       // 0 when it is not known
	PerSecond float64   `json:"per_second"`  // mean of the stage
	ETASecond float64   `json:"eta_seconds"` // 0 when it is not known
}

const backupEventSchema = "etcdops.backup_event/v1"

// backupEventEvery is the time between two events of one stage.
const backupEventEvery = time.Second

// backupProgress shows how far a backup, a restore or a verification is: to people as ui.Progress does, to programs as events.
// SIGUSR1 has it tell at once.
type backupProgress struct {
	a      *app
	events bool
	stop   func()

	mu    sync.Mutex
	now   backupEventJSON
	told  bool      // now was written
	at    time.Time // of the last event
	shown *ui.Progress
	ended bool
}

// progress shows how far a command is until its end is called. It must begin before anything that takes time: without a
// listener SIGUSR1 ends the process.
func (a *app) progress(ctx context.Context, operation string, quiet bool) *backupProgress {
	p := &backupProgress{a: a, events: a.out == "json" && !quiet, shown: ui.NewProgress(a.io, quiet || a.structured())}
	begin := time.Now()
	p.now = backupEventJSON{Schema: backupEventSchema, Operation: operation, Stage: "begin", Since: begin.UTC()}
	ctx, cancel := context.WithCancel(ctx)
	listening, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		onStatusSignal(ctx, listening, p.status)
	}()
	<-listening
	p.stop = func() {
		cancel()
		<-done
	}
	return p
}

// about names the backup that is worked on from now on.
func (p *backupProgress) about(id backup.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flush()
	p.now.Backup = id
}

// show takes in how far it is.
func (p *backupProgress) show(at backup.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.shown.Show(at.Stage, at.Done, at.Total)
	now := time.Now()
	news := at.Stage != p.now.Stage || at.Done < p.now.Bytes
	if news {
		p.flush()
		p.now.Stage, p.now.Since = at.Stage, now.UTC()
	}
	p.now.Bytes, p.now.Total, p.told = at.Done, at.Total, false
	if news || now.Sub(p.at) >= backupEventEvery {
		p.tell(now)
	}
}

// flush tells what the last event of a stage did not.
func (p *backupProgress) flush() {
	if !p.told && p.now.Stage != "begin" {
		p.tell(time.Now())
	}
}

// tell writes an event.
func (p *backupProgress) tell(now time.Time) {
	if !p.events {
		return
	}
	p.told, p.at, p.now.Time = true, now, now.UTC()
	p.now.PerSecond, p.now.ETASecond = 0, 0
	if took := now.Sub(p.now.Since); took > 0 { // at the beginning there is no rate yet
		rate, left := ui.Rate(p.now.Bytes, p.now.Total, took)
		p.now.PerSecond, p.now.ETASecond = rate, left.Seconds()
	}
	enc := json.NewEncoder(p.a.io.Err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p.now) // the streams keep the error
}

// status tells how far it is to somebody who asks.
func (p *backupProgress) status() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
	case p.events:
		p.tell(time.Now())
	default:
		prefix := p.now.Operation
		if p.now.Backup != "" {
			prefix += " " + p.now.Backup.Short()
		}
		p.shown.Print(prefix + ": ")
	}
}

// pause takes the line off the terminal, for what is printed next.
func (p *backupProgress) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown.Done()
}

// end ends the display. It may be called more than once.
func (p *backupProgress) end() {
	p.mu.Lock()
	if !p.ended {
		p.flush()
		p.shown.Done()
		p.ended = true
	}
	p.mu.Unlock()
	p.stop()
}
