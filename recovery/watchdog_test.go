package recovery

import (
	"testing"
	"time"
)

// TestWatchdog: growth is progress, and so is a snapshot that is sent anew, but not for ever.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	w := watchdog{limit: time.Minute}
	old := time.Now().Add(-time.Hour)
	step := func(bytes int64) (progress bool) {
		w.since = old
		w.grew(bytes)
		return !w.stalled()
	}
	if !step(10) || !step(20) || step(20) {
		t.Error("growth is progress, and nothing else")
	}
	for range maxBegins {
		if step(0) || !step(10) || !step(20) {
			t.Error("it began anew, and grew")
		}
	}
	if step(0) || step(10) || step(20) {
		t.Error("it begins anew for ever")
	}
	if !step(30) {
		t.Error("it came further than ever")
	}
	w.since = old
	if w.saw(5); w.stalled() {
		t.Error("what is applied is progress")
	}
}
