package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// LocalKernel asks this machine's kernel about its clock; nil where it may not be asked. It changes nothing.
func LocalKernel() *Kernel {
	var t unix.Timex // no modes: a question only
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return nil
	}
	unit := int64(time.Microsecond)
	if t.Status&unix.STA_NANO != 0 {
		unit = 1
	}
	const ticks = 10_000 // microseconds in a hundredth of a second: the kernel's own speed
	return &Kernel{
		Synchronised: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		OffsetNS:     int64(t.Offset) * unit,                                   //nolint:unconvert // 32 bits on some systems
		MaxErrorNS:   int64(t.Maxerror) * int64(time.Microsecond),              //nolint:unconvert // likewise
		EstErrorNS:   int64(t.Esterror) * int64(time.Microsecond),              //nolint:unconvert // likewise
		SpeedPPM:     float64(t.Freq)/65536 + float64(int64(t.Tick)-ticks)*100, //nolint:unconvert // likewise
	}
}
