package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// spool is a file without a name that is written at its end and read from anywhere meanwhile. Nobody can find it, and it
// is gone with the process.
type spool struct {
	file *os.File

	mu     sync.Mutex
	grown  *sync.Cond
	size   int64
	closed bool
	err    error
}

// newSpool makes a spool in a directory.
func newSpool(dir string) (*spool, error) {
	f, err := unnamed(dir)
	if err != nil {
		return nil, err
	}
	s := &spool{file: f}
	s.grown = sync.NewCond(&s.mu)
	return s, nil
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.file.WriteAt(p, s.size)
	s.mu.Lock()
	s.size += int64(n)
	s.mu.Unlock()
	s.grown.Broadcast()
	return n, err
}

// finish says that nothing more will be written; readers get err at the end, or io.EOF.
func (s *spool) finish(err error) {
	s.mu.Lock()
	s.closed = true
	s.err = err
	s.mu.Unlock()
	s.grown.Broadcast()
}

// reader reads from the beginning and waits for what is not written yet.
func (s *spool) reader() io.Reader { return &spoolReader{s: s} }

// section is a part of what was written.
func (s *spool) section(offset, size int64) *io.SectionReader {
	return io.NewSectionReader(s.file, offset, size)
}

// Close gives the file up.
func (s *spool) Close() error { return s.file.Close() }

type spoolReader struct {
	s      *spool
	offset int64
}

// Read implements io.Reader.
func (r *spoolReader) Read(p []byte) (int, error) {
	s := r.s
	s.mu.Lock()
	for r.offset == s.size && !s.closed {
		s.grown.Wait()
	}
	left, err := s.size-r.offset, s.err
	s.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case left == 0:
		return 0, io.EOF
	}
	n, err := s.file.ReadAt(p[:min(int64(len(p)), left)], r.offset)
	r.offset += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// contextWriter fails when its context has ended.
type contextWriter struct {
	ctx context.Context // of the one operation that the writer is made for
	w   io.Writer
}

// Write implements io.Writer.
func (c contextWriter) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.w.Write(p)
}
