package logging

import (
	"errors"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// FatalError is an entry after which the code that logged it cannot go on.
type FatalError struct {
	Message string
	Err     error // the entry's error; nil when it has none
}

// Error renders the message and its cause.
func (f FatalError) Error() string {
	if f.Err == nil {
		return f.Message
	}
	return f.Message + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f FatalError) Unwrap() error { return f.Err }

// Guard returns lg changed so that an entry of level fatal or panic neither exits nor panics: it is written, onFatal is
// told, and the goroutine that logged it stands still for good, with all its locks held, since nothing after such an
// entry may run. onFatal must not block; whoever it tells has to end the process. A nil onFatal leaves lg as it is.
func Guard(lg *zap.Logger, onFatal func(FatalError)) *zap.Logger {
	if onFatal == nil {
		return lg
	}
	hook := haltHook{onFatal}
	return lg.WithOptions(zap.WithFatalHook(hook), zap.WithPanicHook(hook))
}

type haltHook struct{ onFatal func(FatalError) }

// OnWrite implements zapcore.CheckWriteHook; it does not return.
func (h haltHook) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	failure := FatalError{Message: entry.Message}
	for _, field := range fields {
		switch err, ok := field.Interface.(error); {
		case ok && field.Type == zapcore.ErrorType:
			failure.Err = errors.Join(failure.Err, err)
		case field.Key == "panic" && field.Type == zapcore.StringType: // what etcd recovered from and reports
			failure.Err = errors.Join(failure.Err, errors.New(field.String))
		}
	}
	h.onFatal(failure)
	select {}
}
