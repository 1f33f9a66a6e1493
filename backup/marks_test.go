package backup

import (
	"testing"
	"time"
)

// TestRecordsInTheirOrder joins what several verifications found.
func TestRecordsInTheirOrder(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	good := func(n int, level Level) *Record { return &Record{At: at(n), Level: level} }
	bad := func(n int, level Level) *Record { return &Record{At: at(n), Level: level, Problem: "damaged"} }
	for name, tc := range map[string]struct {
		records []*Record
		want    Record
	}{
		"bytes hashed again hold what they held":     {[]*Record{good(1, LevelDrill), good(2, LevelStored)}, Record{At: at(2), Level: LevelDrill}},
		"a look at sizes is no verification":         {[]*Record{good(1, LevelData), good(2, LevelPresent)}, Record{At: at(1), Level: LevelData}},
		"a higher level":                             {[]*Record{good(1, LevelStored), good(2, LevelData)}, Record{At: at(2), Level: LevelData}},
		"damage hides behind no lower level":         {[]*Record{bad(1, LevelData), good(2, LevelStored)}, *bad(1, LevelData)},
		"damage ends with its own level":             {[]*Record{bad(1, LevelStored), good(2, LevelData)}, Record{At: at(2), Level: LevelData}},
		"a part that was missing and is there again": {[]*Record{bad(1, LevelPresent), good(2, LevelPresent)}, *good(2, LevelPresent)},
		"what cannot be read says nothing":           {[]*Record{good(1, LevelData), nil}, *good(1, LevelData)},
		"damage after a drill":                       {[]*Record{good(1, LevelDrill), bad(2, LevelStored)}, *bad(2, LevelStored)},
	} {
		var last *Record
		for _, r := range tc.records {
			last = last.then(r)
		}
		if *last != tc.want {
			t.Errorf("%s: %+v, want %+v", name, *last, tc.want)
		}
	}
}
