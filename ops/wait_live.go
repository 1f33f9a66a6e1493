package ops

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WaitLive waits until a member answers as itself and takes part under the leader: until a member that was added has
// started. tell (which may be nil) is told what is waited for. The error is *HintError when ctx ends first, or when the
// member leaves the list.
func (c *Cluster) WaitLive(ctx context.Context, id MemberID, tell func(ChangeEvent)) error {
	begun := time.Now()
	for {
		o, err := c.Observe(ctx)
		m, listed := o.ByID(id)
		switch {
		case err == nil && listed && m.Condition == Live:
			return nil
		case err == nil && !listed && o.Leader != 0:
			return &HintError{
				Code: CodeCannotChange, Class: ClassFailure, Op: "wait for the start of", Member: id.String(),
				Err: errors.New("it was removed from the member list meanwhile"), Hint: "etcdops member list",
			}
		}
		if tell != nil {
			tell(ChangeEvent{At: time.Now(), Kind: "waiting", Text: fmt.Sprintf("%s has not started yet", id), Been: time.Since(begun)})
		}
		if err := hold(ctx, changePoll); err != nil {
			return &HintError{
				Class: ClassInterrupted, Op: "wait for the start of", Member: id.String(),
				Err: fmt.Errorf("given up after %s: %w", time.Since(begun).Round(time.Second), context.Cause(ctx)),
			}
		}
	}
}
