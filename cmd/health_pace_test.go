package cmd

import "testing"

// TestPace lets everybody begin though nobody ends: silent clusters hold up no other.
func TestPace(t *testing.T) {
	t.Parallel()
	p := pace{turns: make(chan struct{}, 2)}
	for range 7 {
		p.begin()
	}
	// Ending gives a turn back at once, and only once.
	p = pace{turns: make(chan struct{}, 1)}
	for range 1000 {
		done := p.begin()
		done()
		done()
	}
}
