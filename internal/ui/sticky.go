package ui

import "io"

// StickyWriter passes writes on and keeps the first error, after which it writes no more: a report is written without
// looking at each line, and its end says whether all of it arrived.
type StickyWriter struct {
	W   io.Writer
	Err error // of the first write that failed
}

// Write implements io.Writer; it returns the first error for good.
func (s *StickyWriter) Write(p []byte) (int, error) {
	if s.Err != nil {
		return 0, s.Err
	}
	n, err := s.W.Write(p)
	s.Err = err
	return n, err
}
