package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/recovery"
)

// recoverProgress tells what a run does: a line a step and one that is rewritten on a terminal, a line now and then off
// it, a JSON object an event with -w json.
type recoverProgress struct {
	a *app

	mu    sync.Mutex
	last  recovery.Event
	shown time.Time // of the last line off a terminal
	drawn bool      // a line that is rewritten stands on the terminal
}

// quiet is the time between two lines about the same wait, off a terminal.
const quiet = 10 * time.Second

func newRecoverProgress(a *app) *recoverProgress {
	return &recoverProgress{a: a, shown: time.Now()}
}

// event takes one event in.
func (p *recoverProgress) event(e recovery.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := e.Step != p.last.Step || e.State != p.last.State || e.Text != p.last.Text
	p.last = e
	switch {
	case p.a.out == "json":
		if news || time.Since(p.shown) > time.Second {
			p.shown = time.Now()
			p.encode(e)
		}
	case p.a.io.ErrTTY:
		p.draw(e)
	case e.State == recovery.StateDone, e.State == recovery.StateFailed, time.Since(p.shown) > quiet:
		p.shown = time.Now()
		fmt.Fprintln(p.a.io.Err, p.line(e))
	}
}

// draw shows an event on a terminal: waits rewrite one line, the ends of steps stay.
func (p *recoverProgress) draw(e recovery.Event) {
	if e.State == recovery.StateWaiting && time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	p.erase()
	line := p.line(e)
	if e.State == recovery.StateDone || e.State == recovery.StateFailed {
		fmt.Fprintln(p.a.io.Err, line)
		return
	}
	if r := []rune(line); len(r) > ui.MaxColumns-1 {
		line = string(r[:ui.MaxColumns-1])
	}
	fmt.Fprint(p.a.io.Err, line)
	p.drawn = true
}

// erase removes the line that is rewritten.
func (p *recoverProgress) erase() {
	if p.drawn {
		fmt.Fprint(p.a.io.Err, "\r\x1b[K")
		p.drawn = false
	}
}

// line is an event in one line.
func (p *recoverProgress) line(e recovery.Event) string {
	text := ui.Safe(strings.ReplaceAll(e.Text, "\n", " "))
	switch e.State {
	case recovery.StateDone:
		text += "  done, " + e.Time.Sub(e.Since).Round(10*time.Millisecond).String()
	case recovery.StateWaiting:
		text = fmt.Sprintf("%s: %s, for %s", e.Step, text, e.Time.Sub(e.Since).Round(time.Second))
	case recovery.StateFailed:
		text = "failed: " + text
	}
	return fmt.Sprintf("[%d/%d] %s%s", e.N, e.Of, text, transferText(e.Transfer))
}

// transferText is ", 310 MiB of 1.2 GiB, 250 MiB/s, 4s left".
func transferText(t *recovery.Transfer) string {
	if t == nil || t.Bytes == 0 {
		return ""
	}
	text := ", " + humanize.IBytes(uint64(t.Bytes))
	if t.Total > 0 {
		text += " of " + humanize.IBytes(uint64(t.Total))
	}
	if t.PerSecond > 0 {
		text += ", " + humanize.IBytes(uint64(t.PerSecond)) + "/s"
	}
	if t.ETASecond > 0 {
		text += ", " + time.Duration(t.ETASecond*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return text
}

// say tells a person what to do on a machine.
func (p *recoverProgress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.a.out == "json" {
		p.encode(recovery.Event{
			Schema: recovery.EventSchema, Time: time.Now().UTC(), Operation: p.last.Operation, Step: p.last.Step, N: p.last.N,
			Of: p.last.Of, State: recovery.StateManual, Text: text,
		})
		return
	}
	p.erase()
	fmt.Fprintln(p.a.io.Err, "\nDO THIS:", ui.Safe(text))
	fmt.Fprintln(p.a.io.Err)
}

// start prints a status line for SIGUSR1 until the returned function is called.
func (p *recoverProgress) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		onStatusSignal(ctx, nil, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.erase()
			fmt.Fprintln(p.a.io.Err, p.line(p.last))
		})
	}()
	return func() {
		cancel()
		<-done
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erase()
	}
}

// encode writes one JSON object in a line of its own.
func (p *recoverProgress) encode(v any) {
	enc := json.NewEncoder(p.a.io.Out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the streams keep the error
}

// document writes the last object of a run.
func (p *recoverProgress) document(v any) error {
	enc := json.NewEncoder(p.a.io.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
