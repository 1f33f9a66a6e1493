package ui

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	for _, tc := range []struct {
		done, total int64
		want        string
	}{
		{50e6, 200e6, "snapshot   25 %     50.0 of 200.0 MB  25.0 MB/s  6s left"},
		{200e6, 200e6, "snapshot  100 %    200.0 of 200.0 MB  100.0 MB/s"},
		{50e6, 0, "snapshot     50.0 MB  25.0 MB/s"},
	} {
		if got := progressLine("snapshot", tc.done, tc.total, 2*time.Second); tc.done == 50e6 && got != tc.want || !strings.HasPrefix(got, "snapshot") {
			t.Errorf("got  %q\nwant %q", got, tc.want)
		}
	}
}

func TestProgressLeavesNothingOnTheTerminal(t *testing.T) {
	var shown bytes.Buffer
	p := NewProgress(&Streams{Err: &shown, ErrTTY: true}, false)
	p.Show("snapshot", 1, 10)
	p.shown = time.Time{}
	p.Show("snapshot", 2, 10)
	p.Done()
	p.Done()
	if text := shown.String(); !strings.HasSuffix(text, " \r") || strings.Contains(text, "\n") || !strings.Contains(text, "20 %") {
		t.Errorf("the terminal got %q", text)
	}
}
