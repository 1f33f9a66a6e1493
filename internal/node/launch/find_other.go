//go:build !linux

package launch

// Running finds nothing: only Linux tells how processes were started.
func Running(string, string) int { return 0 }

// RunningOn finds nothing: only Linux tells how processes were started.
func RunningOn(string) int { return 0 }

// Members finds nothing: only Linux tells how processes were started.
func Members() []Process { return nil }

// OfProcess knows nothing: only Linux tells how processes were started.
func OfProcess(int) (Launch, bool) { return Launch{}, false }
