// Package schedule says when backups are due. It is pure: clocks, clusters and repositories are its callers'.
package schedule

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines without the files

	cron "github.com/netresearch/go-cron"
)

// Schedule is a cron expression in a time zone, with a delay that spreads clusters over time.
type Schedule struct {
	slots cron.Schedule
	delay time.Duration
	zone  *time.Location
	fixed bool // at hours that are named
}

var errZone = errors.New("name the zone apart from the expression")

// Parse reads a cron expression of five fields, or @hourly, @daily, @weekly, @monthly, @yearly, @every DURATION. zone is an
// IANA name; empty means UTC. jitter is the longest delay after a slot; how long it is follows from name, so that it is the
// same each time and for each scheduler of a cluster.
func Parse(expr, zone string, jitter time.Duration, name string) (*Schedule, error) {
	if strings.Contains(expr, "TZ=") {
		return nil, fmt.Errorf("cron expression %q: %w", expr, errZone)
	}
	if zone == "" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", zone, err)
	}
	slots, err := cron.ParseStandard("CRON_TZ=" + zone + " " + expr)
	if err != nil {
		return nil, fmt.Errorf("cron expression %q: %w", expr, err)
	}
	s := &Schedule{slots: slots, zone: location, fixed: fixedHours(expr)}
	if s.slots.Next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("cron expression %q: no time ever fits it", expr)
	}
	if jitter > 0 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name))
		s.delay = time.Duration(h.Sum64() % uint64(jitter))
	}
	return s, nil
}

// fixedHours says whether an expression names its hours, so that it means times of the day and not a rhythm.
func fixedHours(expr string) bool {
	fields := strings.Fields(expr)
	if len(fields) == 5 {
		return !strings.Contains(fields[1], "*")
	}
	return expr != "@hourly" && !strings.HasPrefix(expr, "@every")
}

// Next is when the first run after a time begins, its delay included.
func (s *Schedule) Next(after time.Time) time.Time {
	at := s.slots.Next(after.Add(-s.delay))
	for s.fixed && s.repeated(at) {
		at = s.slots.Next(at)
	}
	return at.Add(s.delay)
}

// repeated says whether the clocks of the zone showed the same a while before, because they were set back in between: a
// time of the day is met once, at its first.
func (s *Schedule) repeated(at time.Time) bool {
	const wall = "2006-01-02 15:04:05"
	for _, back := range []time.Duration{time.Hour, 30 * time.Minute} {
		if at.Add(-back).In(s.zone).Format(wall) == at.In(s.zone).Format(wall) {
			return true
		}
	}
	return false
}

// Slot names the slot that a run at now is for, given when the newest good backup was taken: all schedulers that know the same
// come to the same. It is the last that is due, and the beginning of time where there never was a backup.
func (s *Schedule) Slot(now, newest time.Time) time.Time {
	slot := time.Unix(0, 0).UTC()
	if newest.IsZero() {
		return slot
	}
	n := 0
	for at := s.Next(newest); !at.After(now) && n < maxMissed; at = s.Next(at) {
		slot = at
		n++
	}
	return slot.UTC()
}

// maxMissed bounds how many slots are counted.
const maxMissed = 1_000_000

// Due says whether a run is due now, given when the newest good backup was taken (zero for never). However many slots
// have passed since, one run makes up for all; missed counts those that it stands for beyond its own.
func (s *Schedule) Due(now, newest time.Time) (due bool, missed int) {
	if newest.IsZero() {
		return true, 0
	}
	for at := s.Next(newest); !at.After(now); at = s.Next(at) {
		if missed++; missed >= maxMissed {
			break
		}
	}
	return missed > 0, max(0, missed-1)
}
