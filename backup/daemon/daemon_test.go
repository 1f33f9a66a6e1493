package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/daemon"
	"github.com/etcdops/etcdops/backup/elect"
	"github.com/etcdops/etcdops/ops"
)

// lead runs a daemon with an empty repository until its first events have come.
func lead(t *testing.T, webhook string, take func(context.Context, daemon.Order) (*backup.Manifest, error), events int) (got []daemon.Event, d *daemon.Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	told := make(chan daemon.Event, 16)
	d, err := daemon.New(daemon.Options{
		Cron: "0 0 1 1 *", Webhook: webhook, Take: take, Notify: func(e daemon.Event) { told <- e },
		Cluster: func(context.Context) (ops.ClusterID, error) { return 1, nil },
		List:    func(context.Context) ([]backup.Entry, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Lead(ctx, 7) }()
	for range events {
		select {
		case e := <-told:
			got = append(got, e)
		case <-ctx.Done():
			t.Fatalf("only %d events came", len(got))
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return got, d
}

// TestWebhook tells a real server of a failure.
func TestWebhook(t *testing.T) {
	t.Parallel()
	bodies := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/hook/secret" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		w.WriteHeader(http.StatusNoContent)
		bodies <- body
	}))
	defer server.Close()
	failure := &ops.HintError{Code: backup.CodeStore, Op: "upload", Member: "s3://b", Err: errors.New("no space")}
	take := func(_ context.Context, o daemon.Order) (*backup.Manifest, error) {
		if o.Fence != 7 || o.Slot.IsZero() {
			t.Errorf("the order is %+v", o)
		}
		return nil, failure
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, err := daemon.New(daemon.Options{
		Cron: "@daily", Webhook: server.URL + "/hook/secret", Take: take, Notify: func(daemon.Event) {},
		Cluster: func(context.Context) (ops.ClusterID, error) { return 1, nil },
		List:    func(context.Context) ([]backup.Entry, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Lead(ctx, 7) }()
	select {
	case body := <-bodies:
		var doc daemon.Failure
		if err := json.Unmarshal(body, &doc); err != nil || doc.Schema != daemon.FailureSchema || doc.Code != string(backup.CodeStore) ||
			!strings.Contains(doc.Error, "no space") || time.Since(doc.Time) > time.Hour || !doc.Newest.IsZero() {
			t.Errorf("%s: %+v, %v", body, doc, err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the webhook was not told")
	}
	if s := d.Stats(); !s.Leading || s.Failed != 1 || s.Taken != 0 {
		t.Errorf("%+v", s)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWebhookThatFails is told of, without its URL, which may be a secret.
func TestWebhookThatFails(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refusing.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct{ url, want string }{
		"refuses": {refusing.URL + "/secret", "403"}, "is gone": {gone.URL + "/secret", "no answer"}, "is no URL": {"http://%secret", "cannot be used"},
	} {
		fails := func(context.Context, daemon.Order) (*backup.Manifest, error) { return nil, errors.New("broken") }
		events, _ := lead(t, c.url, fails, 2)
		if text := events[1].Err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, "secret") {
			t.Errorf("it %s: %q", name, text)
		}
	}
}

// TestNothingEndsTheProcess: it may be a datastore's.
func TestNothingEndsTheProcess(t *testing.T) {
	t.Parallel()
	events, d := lead(t, "", func(context.Context, daemon.Order) (*backup.Manifest, error) { panic("defect") }, 1)
	if !strings.Contains(events[0].Err.Error(), "defect") || d.Stats().Failed != 1 {
		t.Errorf("%+v, %+v", events, d.Stats())
	}
}

// TestSlotOfAnother is no failure.
func TestSlotOfAnother(t *testing.T) {
	t.Parallel()
	taken := func(context.Context, daemon.Order) (*backup.Manifest, error) {
		return nil, &ops.HintError{Code: backup.CodeSlotTaken, Err: errors.New("taken")}
	}
	events, d := lead(t, "http://127.0.0.1:1/", taken, 1)
	if s := d.Stats(); !events[0].Taken || s.Failed != 0 || s.Overlaps != 1 {
		t.Errorf("%+v, %+v", events, s)
	}
}

// TestYield leaves a backup to another before it is taken, and after it failed; then the same daemon does not try at once again.
func TestYield(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tries, yield := 0, true
	var seen []error
	slept := make(chan struct{})
	d, err := daemon.New(daemon.Options{
		Cron: "0 0 1 1 *", Notify: func(daemon.Event) {},
		Cluster: func(context.Context) (ops.ClusterID, error) { return 1, nil },
		List: func(context.Context) ([]backup.Entry, error) {
			if tries == 1 {
				close(slept) // elected once more
			}
			return nil, nil
		},
		Take: func(context.Context, daemon.Order) (*backup.Manifest, error) {
			tries++
			return nil, errors.New("no room")
		},
		Yield: func(_ context.Context, _ daemon.Order, failed error) bool {
			seen = append(seen, failed)
			return yield || failed != nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Lead(ctx, 1); !errors.Is(err, elect.ErrYielded) || tries != 0 {
		t.Errorf("before the backup: %v, %d tries", err, tries)
	}
	yield = false
	if err := d.Lead(ctx, 2); !errors.Is(err, elect.ErrYielded) || !errors.Is(err, elect.ErrLost) || tries != 1 {
		t.Errorf("after it failed: %v, %d tries", err, tries)
	}
	go func() {
		<-slept
		cancel()
	}()
	if err := d.Lead(ctx, 3); err != nil || tries != 1 {
		t.Errorf("elected once more: %v, %d tries", err, tries)
	}
	if len(seen) != 3 || seen[2] == nil {
		t.Errorf("it asked with %v", seen)
	}
}

// lone runs a daemon alone, on a clock of its own, over backups that a test keeps; take is told the time and the slot. It runs so long.
func lone(t *testing.T, cron string, run time.Duration, list func() []backup.Entry, take func(now, slot time.Time) (*backup.Manifest, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), run)
	defer cancel()
	d, err := daemon.New(daemon.Options{
		Cron: cron, Notify: func(daemon.Event) {},
		Cluster: func(context.Context) (ops.ClusterID, error) { return 1, nil },
		List:    func(context.Context) ([]backup.Entry, error) { return list(), nil },
		Take:    func(_ context.Context, o daemon.Order) (*backup.Manifest, error) { return take(time.Now(), o.Slot) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Lead(ctx, 1); err != nil {
		t.Error(err)
	}
}

// good is a verified backup.
func good(at time.Time) *backup.Manifest {
	return &backup.Manifest{ClusterID: 1, TakenAt: at, Level: backup.LevelData}
}

// TestNextSlotAfterOneThatIsTaken: somebody else is at a slot, and the backup never shows. The slots after it are met when they are due, and
// this one is looked at once a minute. All waited a minute.
func TestNextSlotAfterOneThatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var asked []string
		lone(t, "@every 25s", 99*time.Second, func() []backup.Entry { return []backup.Entry{{Manifest: good(begin)}} },
			func(now, slot time.Time) (*backup.Manifest, error) {
				asked = append(asked, fmt.Sprintf("%v:%v", now.Sub(begin), slot.Sub(begin)))
				return nil, &ops.HintError{Code: backup.CodeSlotTaken, Err: errors.New("taken")}
			})
		if got, want := strings.Join(asked, " "), "25s:25s 50s:50s 1m15s:1m15s"; got != want {
			t.Errorf("asked for slots at %s, want %s", got, want)
		}
		asked, begin = nil, time.Now()
		lone(t, "0 0 1 1 *", 150*time.Second, func() []backup.Entry { return nil }, func(now, slot time.Time) (*backup.Manifest, error) {
			asked = append(asked, fmt.Sprintf("%v:%d", now.Sub(begin), slot.Unix()))
			return nil, &ops.HintError{Code: backup.CodeSlotTaken, Err: errors.New("taken")}
		})
		if got, want := strings.Join(asked, " "), "0s:0 1m0s:0 2m0s:0"; got != want {
			t.Errorf("asked for the first slot at %s, want %s", got, want)
		}
	})
}

// TestBackupOfTheFutureIsNone: a machine whose clock was years ahead has taken a backup. The schedule goes on all the same: it took no
// backup until then.
func TestBackupOfTheFutureIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := []backup.Entry{{Manifest: good(time.Now().AddDate(10, 0, 0))}, {Manifest: good(time.Now())}}
		taken := 0
		lone(t, "@hourly", 150*time.Minute, func() []backup.Entry { return list }, func(now, _ time.Time) (*backup.Manifest, error) {
			taken++
			list = append(list, backup.Entry{Manifest: good(now)})
			return list[len(list)-1].Manifest, nil
		})
		if taken != 2 {
			t.Errorf("%d backups in two hours and a half", taken)
		}
	})
}

// TestFailuresWaitLonger: what fails is tried again after a minute, then after ever longer.
func TestFailuresWaitLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []string
		lone(t, "@daily", 16*time.Minute, func() []backup.Entry { return nil }, func(now, _ time.Time) (*backup.Manifest, error) {
			at = append(at, now.Sub(begin).String())
			return nil, errors.New("broken")
		})
		if got, want := strings.Join(at, " "), "0s 1m0s 3m0s 7m0s 15m0s"; got != want {
			t.Errorf("tried at %s, want %s", got, want)
		}
	})
}
