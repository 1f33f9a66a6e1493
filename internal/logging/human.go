package logging

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"
)

// maxValue is the length at which a field's value is cut in an informational line, in characters.
const maxValue = 60

// humanCore writes one short line an entry: time, level, message, key=value. Warnings and worse are written whole;
// informational lines are cut to the terminal's width, since the JSON format keeps everything.
type humanCore struct {
	zapcore.LevelEnabler
	out    zapcore.WriteSyncer
	color  bool
	width  func() int
	fields []zapcore.Field
}

// With implements zapcore.Core.
func (c *humanCore) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.fields = slices.Concat(c.fields, fields)
	return &clone
}

// Check implements zapcore.Core.
func (c *humanCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *humanCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	whole := entry.Level > zapcore.InfoLevel
	line := formatLine(entry, slices.Concat(c.fields, fields), whole)
	if c.width != nil && !whole {
		line = cut(line, c.width())
	}
	if c.color {
		line = colored(line, entry.Level)
	}
	_, err := c.out.Write([]byte(line + "\n"))
	return err
}

// Sync implements zapcore.Core.
func (c *humanCore) Sync() error { return c.out.Sync() }

// levelName is five columns wide.
func levelName(level zapcore.Level) string {
	switch level {
	case zapcore.DebugLevel:
		return "debug"
	case zapcore.InfoLevel:
		return "info "
	case zapcore.WarnLevel:
		return "WARN "
	case zapcore.ErrorLevel:
		return "ERROR"
	case zapcore.DPanicLevel, zapcore.PanicLevel, zapcore.FatalLevel, zapcore.InvalidLevel:
	}
	return "FATAL"
}

// formatLine renders an entry without a newline.
func formatLine(entry zapcore.Entry, fields []zapcore.Field, whole bool) string {
	var b strings.Builder
	b.WriteString(entry.Time.Format("15:04:05.000 "))
	b.WriteString(levelName(entry.Level))
	b.WriteByte(' ')
	if entry.LoggerName != "" {
		b.WriteString(entry.LoggerName + ": ")
	}
	b.WriteString(printable(entry.Message))
	var namespace []string
	for _, field := range fields {
		if field.Type == zapcore.NamespaceType {
			namespace = append(namespace, field.Key)
			continue
		}
		key := strings.Join(append(slices.Clone(namespace), field.Key), ".")
		b.WriteString(" " + key + "=" + formatValue(field, whole))
	}
	return b.String()
}

// formatValue renders a field's value, quoted where a reader could not tell where it ends.
func formatValue(field zapcore.Field, whole bool) string {
	values := zapcore.NewMapObjectEncoder()
	field.AddTo(values)
	text := plain(values.Fields[field.Key])
	if !whole && utf8.RuneCountInString(text) > maxValue {
		text = cut(text, maxValue)
	}
	if text == "" || strings.ContainsAny(text, " \"=") || !isPrintable(text) {
		return strconv.Quote(text)
	}
	return text
}

// plain renders values as people write them.
func plain(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = plain(element)
		}
		return strings.Join(parts, ",")
	case time.Duration:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return fmt.Sprint(value)
}

// cut shortens text to at most width characters; 0 is no limit.
func cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}

// colored paints the level's column.
func colored(line string, level zapcore.Level) string {
	paint := map[zapcore.Level]string{zapcore.WarnLevel: "33", zapcore.InfoLevel: "2", zapcore.DebugLevel: "2"}[level]
	if paint == "" {
		paint = "31"
	}
	name := levelName(level)
	return strings.Replace(line, name, "\x1b["+paint+"m"+name+"\x1b[0m", 1)
}

func isPrintable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// printable makes a message fit for a terminal: one line, no control characters.
func printable(text string) string {
	if isPrintable(text) {
		return text
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}
