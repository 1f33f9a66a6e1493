package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// human logs to a buffer as on a terminal.
func human(level zapcore.Level, width int) (*zap.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return New(Options{Out: &out, Terminal: true, Level: level, Width: func() int { return width }}), &out
}

// clock matches the time at the start of a line.
var clock = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `)

func TestHumanLines(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, c := range map[string]struct {
		log   func(*zap.Logger)
		width int
		want  string
	}{
		"fields":       {func(lg *zap.Logger) { lg.Info("ready", zap.String("name", "m1"), zap.Int("n", 3)) }, 0, "info  ready name=m1 n=3"},
		"quoted":       {func(lg *zap.Logger) { lg.Info("a", zap.String("k", "b c")) }, 0, `info  a k="b c"`},
		"empty value":  {func(lg *zap.Logger) { lg.Info("a", zap.String("k", "")) }, 0, `info  a k=""`},
		"lists":        {func(lg *zap.Logger) { lg.Info("a", zap.Strings("urls", []string{"u", "v"})) }, 0, "info  a urls=u,v"},
		"duration":     {func(lg *zap.Logger) { lg.Info("a", zap.Duration("took", time.Second)) }, 0, "info  a took=1s"},
		"error":        {func(lg *zap.Logger) { lg.Warn("a", zap.Error(errors.New("boom"))) }, 0, "WARN  a error=boom"},
		"named":        {func(lg *zap.Logger) { lg.Named("raft").Info("elected") }, 0, "info  raft: elected"},
		"with":         {func(lg *zap.Logger) { lg.With(zap.Int("a", 1)).Info("m", zap.Int("b", 2)) }, 0, "info  m a=1 b=2"},
		"namespace":    {func(lg *zap.Logger) { lg.Info("m", zap.Namespace("n"), zap.Int("b", 2)) }, 0, "info  m n.b=2"},
		"info is cut":  {func(lg *zap.Logger) { lg.Info("abcdefghij") }, 24, "info  abcd…"},
		"warn is not":  {func(lg *zap.Logger) { lg.Warn("abcdefghij", zap.String("k", long)) }, 24, "WARN  abcdefghij k=" + long},
		"value is cut": {func(lg *zap.Logger) { lg.Info("a", zap.String("k", long)) }, 0, "info  a k=" + strings.Repeat("x", maxValue-1) + "…"},
		"no escapes":   {func(lg *zap.Logger) { lg.Warn("a\x1b[2J\nb", zap.String("k", "\x1b[2J")) }, 0, `WARN  a\x1b[2J\nb k="\x1b[2J"`},
		"below level":  {func(lg *zap.Logger) { lg.Debug("a") }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			lg, out := human(zap.InfoLevel, c.width)
			c.log(lg)
			got := strings.TrimSuffix(clock.ReplaceAllString(out.String(), ""), "\n")
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestColour(t *testing.T) {
	var out bytes.Buffer
	New(Options{Out: &out, Terminal: true, Color: true}).Warn("info ")
	if !strings.Contains(out.String(), "\x1b[33mWARN \x1b[0m info ") {
		t.Errorf("got %q", out.String())
	}
}

// TestJSONIsUpstreams compares with the logger that upstream builds.
func TestJSONIsUpstreams(t *testing.T) {
	var ours bytes.Buffer
	lg := New(Options{Out: &ours})
	cfg := logutil.DefaultZapLoggerConfig
	path := t.TempDir() + "/log"
	cfg.OutputPaths = []string{path}
	theirs, err := cfg.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*zap.Logger{lg, theirs} {
		l.Named("raft").Error("m", zap.Duration("d", time.Second), zap.Strings("s", []string{"a"}), zap.Error(errors.New("e")))
	}
	want, got := decode(t, readFile(t, path)), decode(t, ours.Bytes())
	for _, m := range []map[string]any{want, got} {
		delete(m, "ts")
	}
	for key, value := range want {
		if toText(got[key]) != toText(value) {
			t.Errorf("%s: got %v, want %v", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got keys %v, want %v", got, want)
	}
}

func TestFatalIsWrittenAndHandedOver(t *testing.T) {
	for name, log := range map[string]func(*zap.Logger){
		"fatal":     func(lg *zap.Logger) { lg.Fatal("failed to save", zap.Error(errors.New("disk is gone"))) },
		"panic":     func(lg *zap.Logger) { lg.Sugar().Panicf("failed to save: %s", "disk is gone") },
		"recovered": func(lg *zap.Logger) { lg.Panic("failed to save", zap.Any("panic", "disk is gone")) },
	} {
		t.Run(name, func(t *testing.T) {
			failures := make(chan FatalError, 1)
			var out bytes.Buffer
			lg := New(Options{Out: &out, Terminal: true, OnFatal: func(f FatalError) { failures <- f }})
			returned := make(chan struct{})
			go func() {
				log(lg)
				close(returned)
			}()
			failure := <-failures
			if failure.Error() != "failed to save: disk is gone" || !strings.Contains(out.String(), "FATAL failed to save") {
				t.Errorf("got %q, log %q", failure.Error(), out.String())
			}
			select {
			case <-returned:
				t.Error("code after the fatal entry ran")
			default:
			}
		})
	}
}

func TestSlogHandler(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return Slog(New(Options{Out: &out})).Handler()
	}, func(t *testing.T) map[string]any {
		t.Helper()
		flat := decode(t, out.Bytes())
		for from, to := range map[string]string{"ts": slog.TimeKey, "msg": slog.MessageKey} {
			if value, ok := flat[from]; ok {
				flat[to] = value
			}
		}
		return nest(flat)
	})
}

// nest turns keys with dots into the groups that slogtest looks for.
func nest(flat map[string]any) map[string]any {
	nested := map[string]any{}
	for key, value := range flat {
		at := nested
		parts := strings.Split(key, ".")
		for _, part := range parts[:len(parts)-1] {
			inner, ok := at[part].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[part] = inner
			}
			at = inner
		}
		at[parts[len(parts)-1]] = value
	}
	return nested
}

func decode(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return m
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// toText drops what must differ: line numbers of the stack.
func toText(value any) string {
	text, _ := value.(string)
	return regexp.MustCompile(`(0x[0-9a-f]+|:\d+)`).ReplaceAllString(text, "")
}
