package backup

import (
	"context"
	"io"
	"time"
)

// maxCredit is how much of a delay may be made up for.
const maxCredit = 100 * time.Millisecond

// pace lets bytes pass at a rate.
type pace struct {
	ctx   context.Context // of the one operation
	rate  int64           // bytes a second
	begin time.Time
	done  int64
}

func newPace(ctx context.Context, rate int64) *pace {
	return &pace{ctx: ctx, rate: rate, begin: time.Now()}
}

// wait returns when what has passed so far is due, and counts n bytes more.
func (p *pace) wait(n int) error {
	due := p.begin.Add(time.Duration(float64(p.done) / float64(p.rate) * float64(time.Second)))
	p.done += int64(n)
	left := time.Until(due)
	if late := -left - maxCredit; late > 0 {
		p.begin = p.begin.Add(late) // what was waited for is not made up for by a burst
	}
	if left <= 0 {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// pacer slows a stream down to a rate.
type pacer struct {
	w    io.Writer
	pace *pace
}

// newPacer writes to w at most at rate, in bytes a second; 0 for as fast as it comes.
func newPacer(ctx context.Context, w io.Writer, rate int64) io.Writer {
	if rate <= 0 {
		return contextWriter{ctx, w}
	}
	return &pacer{w: w, pace: newPace(ctx, rate)}
}

// Write implements io.Writer.
func (p *pacer) Write(b []byte) (int, error) {
	if err := p.pace.wait(len(b)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// pacedReaderAt slows reading down to a rate. It is for one reader at a time.
type pacedReaderAt struct {
	io.ReaderAt
	pace *pace
}

// ReadAt implements io.ReaderAt.
func (p *pacedReaderAt) ReadAt(b []byte, off int64) (int, error) {
	if err := p.pace.wait(len(b)); err != nil {
		return 0, err
	}
	return p.ReaderAt.ReadAt(b, off)
}
