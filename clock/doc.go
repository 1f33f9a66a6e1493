// Package clock bounds how far the clocks of a cluster's members are apart, and proves that they are within a limit, or
// that they are not.
//
// Read (I/O) asks every member for its time; what comes back is Readings, plain data. Evaluate (pure) makes a Report of
// them. Audit is both. Handler is the exact source that etcdops serve offers.
//
// # The proof
//
// Local times below are those of this machine's monotonic clock, which nobody sets. The offset O(x) of a remote wall clock
// is what it shows at local time x, less x and a constant that is the same for all clocks of an audit.
//
// A question is written after local time s, and the first byte of its answer has come by local time r. Between, the server
// read its clock, once or more: it showed F when read first and L when read last, both cut down to multiples of a quantum q
// (0 for sources that tell nanoseconds, 1 s for an HTTP Date). Two things are assumed, and nothing else: nobody sets the
// clock during the audit, and its speed differs from the local one's by a factor of rho at most. In particular the way
// there and the way back may take any times, equal or not.
//
// Take any local time t. Let the first reading happen at local time x, so that s <= x, and O(x) < F + q - x. The offset moves
// by rho |t - x| at most between x and t:
//
//	O(t) < F + q - x + rho |t - x|
//
// The right side falls as x grows, since rho < 1. Its largest value is at x = s. With the last reading, at y <= r and
// O(y) >= L - y, the same way round:
//
//	L - r - rho |t - r|  <=  O(t)  <  F + q - s + rho |t - s|
//
// This holds of each sample, so O(t) lies in the intersection of what all samples say of the instant t. (Intervals are
// closed here, and a little wider, for clocks that are themselves cut down to nanoseconds.)
//
// The difference of two clocks at t lies in [lo1 - hi2, hi1 - lo2], where lo and hi are the ends of both intersections. The
// constant has gone, and with it the clock of this machine. Any t serves; the one that tells most is taken, so that a slew
// costs rho times the distance between two readings, not rho times the length of the audit.
//
// PASS needs the upper end of every pair below the limit, FAIL one lower end at the limit or above. What is between is
// INCONCLUSIVE, and so is an audit that lacks a clock. An empty intersection means that an assumption does not hold: the
// clock was set, or two hosts answer under one name. That is UNSTABLE, and never a PASS. A clock that is set by less than
// the width of its bounds while it is read goes unseen; the bounds then hold for a clock between the two.
//
// rho is 0.085: chrony slews by 83,333 ppm at most by default, ntpd, systemd-timesyncd and the kernel by 500 ppm. Where this
// machine's own clock is being slewed by more than 1,500 ppm, rho is 0.2; where it cannot be asked, 0.1.
package clock
