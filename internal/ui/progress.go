package ui

import (
	"fmt"
	"strings"
	"time"
)

// Progress shows how far a long operation is on the error stream: a line that is written over on a terminal, a line now
// and then elsewhere. Stages follow each other. It is not safe for concurrent use.
type Progress struct {
	s     *Streams
	quiet bool

	stage       string
	done, total int64
	begin       time.Time
	shown       time.Time
	last        string // line on the terminal at present
}

// Rates of writing.
const (
	progressTTY   = 100 * time.Millisecond
	progressLines = 10 * time.Second
)

// NewProgress makes a progress display; a quiet one shows nothing.
func NewProgress(s *Streams, quiet bool) *Progress {
	return &Progress{s: s, quiet: quiet, stage: "begin", begin: time.Now()}
}

// Show says that done of total bytes of a stage are done; total is 0 when it is not known. Stages in which nothing is counted
// say 0 of 0.
func (p *Progress) Show(stage string, done, total int64) {
	now := time.Now()
	if stage != p.stage || done < p.done { // less than before: the same with something else
		p.clear()
		p.stage, p.begin, p.shown = stage, now, now
	}
	p.done, p.total = done, total
	every := progressLines
	if p.s.ErrTTY {
		every = progressTTY
	}
	if p.quiet || now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	line := p.Line(now)
	if !p.s.ErrTTY {
		fmt.Fprintln(p.s.Err, line)
		return
	}
	pad := max(0, Columns(p.last)-Columns(line))
	fmt.Fprintf(p.s.Err, "\r%s%s", line, strings.Repeat(" ", pad))
	p.last = line
}

// Print writes a line of its own now, also where the display is quiet: somebody asked.
func (p *Progress) Print(prefix string) {
	p.clear()
	fmt.Fprintln(p.s.Err, prefix+p.Line(time.Now()))
}

// Done takes the line off the terminal. It may be called more than once.
func (p *Progress) Done() { p.clear() }

func (p *Progress) clear() {
	if p.last != "" {
		fmt.Fprintf(p.s.Err, "\r%s\r", strings.Repeat(" ", Columns(p.last)))
		p.last = ""
	}
}

// Line is how far the stage is: what, how much, how fast, and how long it will still take.
func (p *Progress) Line(now time.Time) string {
	return progressLine(p.stage, p.done, p.total, now.Sub(p.begin))
}

// Rate is the mean of the stage in bytes a second; left is how long it will still take at that, 0 where that is not known.
func Rate(done, total int64, took time.Duration) (perSecond float64, left time.Duration) {
	perSecond = float64(done) / max(took.Seconds(), 0.001)
	if missing := total - done; missing > 0 && done > 0 {
		left = time.Duration(float64(missing) / perSecond * float64(time.Second))
	}
	return perSecond, left
}

// progressLine is the text of a stage.
func progressLine(stage string, done, total int64, took time.Duration) string {
	if done == 0 && total == 0 {
		return fmt.Sprintf("%-9s for %v", stage, took.Round(time.Second))
	}
	rate, left := Rate(done, total, took)
	line := fmt.Sprintf("%-9s %7.1f MB", stage, megabytes(done))
	if total > 0 {
		line = fmt.Sprintf("%-9s %3d %%  %7.1f of %.1f MB", stage, done*100/total, megabytes(done), megabytes(total))
	}
	line += fmt.Sprintf("  %.1f MB/s", rate/1e6)
	if left > 0 {
		line += fmt.Sprintf("  %v left", left.Round(time.Second))
	}
	return line
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }
