package recovery

import (
	"encoding/json"
	"slices"
	"strings"
)

// lastWords keeps errors short: what a log says of why a member ended, and the line after it; without such a line the last
// two. Of several runs in one log the latest counts.
func lastWords(lines []string) []string {
	const most, width = 2, 300
	from, why := -1, ""
	for i, l := range lines {
		text, reason := reasonOf(l)
		if !reason || why != "" && text == "panic: "+strings.SplitN(why, ": ", 2)[0] { // the log's own panic says more
			continue
		}
		from, why = i, text
	}
	var out []string
	switch {
	case from < 0:
		out = slices.Clone(lines[max(0, len(lines)-most):])
	case strings.HasPrefix(lines[from], "{"):
		out = []string{why}
	default:
		out = slices.Clone(lines[from:min(from+most, len(lines))])
	}
	for i, l := range out {
		l, _ = recordOf(l)
		out[i] = l[:min(len(l), width)]
	}
	return slices.DeleteFunc(out, func(l string) bool { return l == "" })
}

// reasonOf reads a line that says why a program ended: an error of ours, a panic, or the fatal or panic record of etcd's log,
// as "message: error".
func reasonOf(line string) (text string, reason bool) {
	if strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "panic: ") {
		return line, true
	}
	text, level := recordOf(line)
	return text, level == "fatal" || level == "panic"
}

// recordOf reads a line of etcd's log as "message: error", any other as it is.
func recordOf(line string) (text, level string) {
	var record struct{ Level, Msg, Error string }
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &record) != nil || record.Msg == "" {
		return line, ""
	}
	return strings.TrimSuffix(record.Msg+": "+record.Error, ": "), record.Level
}
