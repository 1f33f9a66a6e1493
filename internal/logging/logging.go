// Package logging makes the one zap core that everything in the process logs through: short lines for people on a
// terminal, upstream etcd's JSON elsewhere, and a slog front for our own code.
//
// A fatal or panicking entry, with which etcd ends the whole process on a disk error, is written and then handed to
// OnFatal, so that the program can end in order and say why.
package logging

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Options say where and how to log.
type Options struct {
	Out      io.Writer
	Terminal bool             // lines for people instead of JSON
	Color    bool             // colour the level; with Terminal only
	Width    func() int       // columns that an informational line may have; nil or 0: any. With Terminal only
	Level    zapcore.Level    // entries below it are dropped
	OnFatal  func(FatalError) // called once an entry of level fatal or panic is written; see Guard
}

// New makes a logger. Its JSON is upstream's: same keys, same time format, same sampling.
func New(opts Options) *zap.Logger {
	out := zapcore.Lock(zapcore.AddSync(opts.Out))
	var core zapcore.Core
	if opts.Terminal {
		core = &humanCore{LevelEnabler: opts.Level, out: out, color: opts.Color, width: opts.Width}
	} else {
		core = zapcore.NewCore(zapcore.NewJSONEncoder(logutil.DefaultZapLoggerConfig.EncoderConfig), out, opts.Level)
	}
	if s := logutil.DefaultZapLoggerConfig.Sampling; s != nil {
		core = zapcore.NewSamplerWithOptions(core, time.Second, s.Initial, s.Thereafter)
	}
	lg := zap.New(core, zap.AddCaller(), zap.AddStacktrace(zapcore.ErrorLevel), zap.ErrorOutput(out))
	return Guard(lg, opts.OnFatal)
}

// Slog is a front to lg for our own code; attributes become fields, groups become namespaces.
func Slog(lg *zap.Logger) *slog.Logger {
	return slog.New(&slogHandler{core: lg.Core(), name: lg.Name()})
}

// slogHandler passes records on to a zap core.
type slogHandler struct {
	core  zapcore.Core
	name  string
	group string // prefix of keys, "a.b."
}

// Enabled implements slog.Handler.
func (h *slogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.core.Enabled(zapLevel(level))
}

// Handle implements slog.Handler.
func (h *slogHandler) Handle(_ context.Context, r slog.Record) error {
	entry := zapcore.Entry{Level: zapLevel(r.Level), Time: r.Time, Message: r.Message, LoggerName: h.name}
	if frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next(); r.PC != 0 {
		entry.Caller = zapcore.NewEntryCaller(frame.PC, frame.File, frame.Line, true)
	}
	checked := h.core.Check(entry, nil)
	if checked == nil {
		return nil
	}
	fields := make([]zap.Field, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		fields = h.appendField(fields, h.group, a)
		return true
	})
	checked.Write(fields...)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var fields []zap.Field
	for _, a := range attrs {
		fields = h.appendField(fields, h.group, a)
	}
	return &slogHandler{core: h.core.With(fields), name: h.name, group: h.group}
}

// WithGroup implements slog.Handler.
func (h *slogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &slogHandler{core: h.core, name: h.name, group: h.group + name + "."}
}

// appendField translates an attribute; groups become prefixes.
func (h *slogHandler) appendField(fields []zap.Field, prefix string, a slog.Attr) []zap.Field {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if a.Key == "" {
			return fields
		}
		return append(fields, zap.Any(prefix+a.Key, value.Any()))
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range value.Group() {
		fields = h.appendField(fields, prefix, inner)
	}
	return fields
}

func zapLevel(level slog.Level) zapcore.Level {
	switch {
	case level >= slog.LevelError:
		return zapcore.ErrorLevel
	case level >= slog.LevelWarn:
		return zapcore.WarnLevel
	case level >= slog.LevelInfo:
		return zapcore.InfoLevel
	}
	return zapcore.DebugLevel
}
