package seed

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// unwinding is how long etcd's code may take to return after a part of it has failed: what failed may hold a lock.
const unwinding = 10 * time.Second

// guarded calls etcd's code with a logger. That code ends the process where a disk fails, after a line in its log, and
// panics where it forgot an error: here both are errors.
func guarded(what string, do func(lg *zap.Logger) error) error {
	t := &trap{sprung: make(chan struct{})}
	lg := zap.NewNop().WithOptions(zap.WithFatalHook(t))
	returned := make(chan error, 1)
	go func() {
		err := errors.New("it did not return")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
			returned <- err
		}()
		err = do(lg)
	}()
	var err error
	select {
	case err = <-returned:
	case <-t.sprung:
		select {
		case err = <-returned:
		case <-time.After(unwinding): // it waits for what failed
		}
	}
	if why := t.reason(); why != "" {
		return fmt.Errorf("%s: %s", what, why)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// trap ends the goroutine that would have ended the process, and keeps the reason.
type trap struct {
	mu     sync.Mutex
	why    string
	sprung chan struct{}
}

// OnWrite implements zapcore.CheckWriteHook.
func (t *trap) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	words := []string{e.Message}
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok {
			words = append(words, err.Error())
		}
	}
	t.mu.Lock()
	if t.why == "" {
		t.why = strings.Join(words, ": ")
		close(t.sprung)
	}
	t.mu.Unlock()
	runtime.Goexit()
}

func (t *trap) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}
