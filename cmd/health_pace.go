package cmd

import (
	"runtime"
	"sync"
	"time"
)

// pace keeps many clusters from being asked in the same moment: handshakes with hundreds of members would wait so long for
// this machine's processors that healthy members looked as if they hung.
type pace struct{ turns chan struct{} }

// turnHeld is how long a cluster keeps others from beginning. One whose members answer is over by then, far away too; one whose
// members are silent waits without using a processor, and must delay nobody for long.
const turnHeld = 400 * time.Millisecond

// newPace lets four clusters for each processor be asked together: three members with TLS take some 30 ms of one, so that
// each waits for an eighth of a second, far less than the silence that is taken for a hang.
func newPace() pace { return pace{turns: make(chan struct{}, 4*runtime.GOMAXPROCS(0))} }

// begin waits for a turn, and gives it back when done is called or it was held long enough.
func (p pace) begin() (done func()) {
	p.turns <- struct{}{}
	done = sync.OnceFunc(func() { <-p.turns })
	time.AfterFunc(turnHeld, done)
	return done
}
