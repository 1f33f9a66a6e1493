package logging

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Without returns lg changed so that entries for which drop returns true are not written.
func Without(lg *zap.Logger, drop func(zapcore.Entry) bool) *zap.Logger {
	return lg.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return &filterCore{Core: core, drop: drop}
	}))
}

type filterCore struct {
	zapcore.Core
	drop func(zapcore.Entry) bool
}

// With implements zapcore.Core.
func (c *filterCore) With(fields []zapcore.Field) zapcore.Core {
	return &filterCore{Core: c.Core.With(fields), drop: c.drop}
}

// Check implements zapcore.Core.
func (c *filterCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.drop(entry) {
		return checked
	}
	return c.Core.Check(entry, checked)
}
