package health

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Policy changes what the table says. The zero value leaves it as it is.
type Policy struct {
	Limits map[string]Limits // by check ID, in place of the check's own
	Only   []string          // IDs of the checks to make; empty means all
	Skip   []string          // IDs of checks not to make
}

// NotWanted is why a check is skipped that Policy.Only does not name.
const NotWanted = "not among the checks asked for"

// leftOut says why a check is not made, empty when it is.
func (c Check) leftOut(facts Facts, p Policy) string {
	switch {
	case len(p.Only) > 0 && !slices.Contains(p.Only, c.ID):
		return NotWanted
	case slices.Contains(p.Skip, c.ID):
		return "left out on request"
	case c.Depth > facts.Depth && facts.Depth == DepthFast && c.Depth == DepthNormal:
		return "not asked for in a fast look"
	case c.Depth > facts.Depth:
		return "needs a deep look"
	case c.Window && facts.Earlier == nil:
		return "needs two looks with some time between"
	}
	return ""
}

// note tells, behind the verdict, that not every check was wanted.
func (p Policy) note(c Counts) string {
	if len(p.Only) == 0 && len(p.Skip) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of %d checks)", c.Total-c.Skipped, c.Total)
}

// Select returns the IDs of the checks that a word stands for: one ID, or all of a family, as "certificate" for those
// that begin with "certificate.". Empty means that there is none.
func Select(word string) []string {
	var ids []string
	for _, c := range Checks() {
		if c.ID == word || strings.HasPrefix(c.ID, word+".") {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// ParseLimits reads "ID=WARN" or "ID=WARN,CRIT" into the limits of one check, in the check's unit. "-" or nothing stands
// for no such limit. Only checks with limits of their own have any, and levels that they do not know stay closed.
func ParseLimits(text string) (id string, l Limits, err error) {
	id, values, ok := strings.Cut(text, "=")
	if !ok {
		return id, l, fmt.Errorf("%q is not CHECK=WARN or CHECK=WARN,CRIT", text)
	}
	at := slices.IndexFunc(Checks(), func(c Check) bool { return c.ID == id })
	if at < 0 {
		return id, l, fmt.Errorf("there is no check %q", id)
	}
	c := Checks()[at]
	if c.Limits == (Limits{}) {
		return id, l, fmt.Errorf("%s has a rule and no threshold: %s", id, c.Rule)
	}
	warn, crit, both := strings.Cut(values, ",")
	if l.Warn, err = parseLimit(warn); err == nil && both {
		l.Crit, err = parseLimit(crit)
	}
	switch {
	case err != nil:
		return id, l, fmt.Errorf("threshold of %s: %w", id, err)
	case both && l.Crit > 0 && l.Warn > 0 && (l.Crit < l.Warn) != c.Fewer && l.Crit != l.Warn:
		return id, l, fmt.Errorf("threshold of %s: the critical one comes before the warning", id)
	case !both && (c.Limits.Crit < l.Warn) == c.Fewer:
		l.Crit = c.Limits.Crit // else the warning was moved beyond it, which leaves no room for it
	}
	return id, l, nil
}

func parseLimit(text string) (float64, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "-" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > 1e15 {
		return 0, errors.New(strconv.Quote(text) + " is no number above zero")
	}
	return n, nil
}
