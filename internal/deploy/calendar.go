package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/backup/schedule"
)

// DefaultCron is when backups are taken where nothing else is said.
const DefaultCron = "0 */6 * * *"

// cronField is one of the five fields of a cron expression.
type cronField struct {
	name     string
	min, max int
	width    int // digits in a calendar expression
	names    []string
}

// cronFields are the fields in their order: minute, hour, day of the month, month, day of the week.
func cronFields() []cronField {
	return []cronField{
		{name: "minute", max: 59, width: 2},
		{name: "hour", max: 23, width: 2},
		{name: "day of the month", min: 1, max: 31, width: 2},
		{name: "month", min: 1, max: 12, width: 2, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")},
		{name: "day of the week", max: 7, names: strings.Fields("sun mon tue wed thu fri sat sun")},
	}
}

// errNotFiveFields is about rhythms, which calendars do not know.
var errNotFiveFields = errors.New("want five fields, as in '0 */6 * * *', or @hourly, @daily, @weekly, @monthly, @yearly")

// fiveFields writes @daily and its like as five fields.
func fiveFields(expr string) ([]string, error) {
	switch expr {
	case "@hourly":
		expr = "0 * * * *"
	case "@daily", "@midnight":
		expr = "0 0 * * *"
	case "@weekly":
		expr = "0 0 * * 0"
	case "@monthly":
		expr = "0 0 1 * *"
	case "@yearly", "@annually":
		expr = "0 0 1 1 *"
	}
	fields := strings.Fields(expr)
	if len(fields) != len(cronFields()) {
		return nil, fmt.Errorf("cron expression %q: %w", expr, errNotFiveFields)
	}
	return fields, nil
}

// Calendar writes a cron expression as systemd writes times: 'Mon..Fri *-*-* 00,06,12,18:00:00 UTC'. zone is an IANA name; empty
// means UTC. It means the same times as backup/schedule does: where both a day of the month and one of the week are named, both
// must fit.
func Calendar(expr, zone string) (string, error) {
	if _, err := schedule.Parse(expr, zone, 0, ""); err != nil {
		return "", err
	}
	if zone == "" {
		zone = "UTC"
	}
	fields, err := fiveFields(expr)
	if err != nil {
		return "", err
	}
	texts := make([]string, len(fields))
	for i, f := range cronFields() {
		values, err := f.values(fields[i])
		if err != nil {
			return "", fmt.Errorf("cron expression %q: %s: %w", expr, f.name, err)
		}
		texts[i] = f.calendar(values)
	}
	day := ""
	if texts[4] != "*" {
		day = texts[4] + " "
	}
	return fmt.Sprintf("%s*-%s-%s %s:%s:00 %s", day, texts[3], texts[2], texts[1], texts[0], zone), nil
}

// values lists what a field allows: elements separated by commas, each *, a number, a range, and a step after a slash.
func (f cronField) values(text string) ([]int, error) {
	var out []int
	for element := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(element, "/")
		first, last, isRange := strings.Cut(span, "-")
		from, to := f.min, f.max
		if f.weekdays() {
			to = 6
		}
		var err error
		if first != "*" {
			if from, err = f.number(first); err != nil {
				return nil, err
			}
			switch {
			case isRange:
				if to, err = f.number(last); err != nil {
					return nil, err
				}
			case !stepped:
				to = from
			}
		}
		by := 1
		if stepped {
			if by, err = strconv.Atoi(step); err != nil || by < 1 {
				return nil, fmt.Errorf("%q is no step", step)
			}
		}
		for v := from; v <= to; v += by {
			if f.weekdays() && v == 7 {
				out = append(out, 0)
				continue
			}
			out = append(out, v)
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) == 0 {
		return nil, fmt.Errorf("nothing fits %q", text)
	}
	return out, nil
}

// weekdays says whether the field's 0 and 7 are the same.
func (f cronField) weekdays() bool { return f.width == 0 }

// number reads a number or a name.
func (f cronField) number(text string) (int, error) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return i + f.min, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.min || n > f.max {
		return 0, fmt.Errorf("%q cannot be written as a calendar of systemd", text)
	}
	return n, nil
}

// calendar writes values as systemd does: * for all, runs of three and more as ranges.
func (f cronField) calendar(values []int) string {
	all := f.max - f.min + 1
	if f.weekdays() {
		all = 7
	}
	if len(values) == all {
		return "*"
	}
	if f.weekdays() && values[0] == 0 { // systemd's week begins on Monday
		values = append(values[1:], 7)
	}
	var out []string
	for i := 0; i < len(values); {
		end := i
		for end+1 < len(values) && values[end+1] == values[end]+1 {
			end++
		}
		if end-i < 2 {
			end = i
		}
		text := f.word(values[i])
		if end > i {
			text += ".." + f.word(values[end])
		}
		out = append(out, text)
		i = end + 1
	}
	return strings.Join(out, ",")
}

func (f cronField) word(v int) string {
	if f.weekdays() {
		name := f.names[v]
		return strings.ToUpper(name[:1]) + name[1:]
	}
	return fmt.Sprintf("%0*d", f.width, v)
}
