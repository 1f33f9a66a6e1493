package ui

import (
	"io"
	"sync"
)

// StickyWriter passes writes on, one at a time, and keeps the first error, after which it writes no more: a report is written
// without looking at each line, and its end says whether all of it arrived.
type StickyWriter struct {
	W io.Writer

	mu  sync.Mutex // a status that somebody asks for is written beside the report
	err error
}

// Write implements io.Writer; it returns the first error for good.
func (s *StickyWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.W.Write(p)
	s.err = err
	return n, err
}

// Err is that of the first write that failed.
func (s *StickyWriter) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
