// Package ui is the only writer to the terminal: streams, tables, JSON, errors, progress and confirmation.
package ui

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Streams are the three standard streams of a command with what is known of them. Commands write reports to Out and
// everything else to Err; tests hand in buffers, which are no terminals.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	InTTY, OutTTY, ErrTTY bool
	Color                 bool // colour may be used on Out
	Width                 int  // columns of Out; 0 when it is no terminal
}

// NewStreams looks at the given files and the environment (NO_COLOR, TERM).
func NewStreams(in, out, errOut *os.File) *Streams {
	s := &Streams{In: in, Out: out, Err: errOut}
	s.InTTY = term.IsTerminal(int(in.Fd()))
	s.OutTTY = term.IsTerminal(int(out.Fd()))
	s.ErrTTY = term.IsTerminal(int(errOut.Fd()))
	if s.OutTTY {
		if w, _, err := term.GetSize(int(out.Fd())); err == nil {
			s.Width = w
		}
	}
	s.Color = s.OutTTY && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}
