package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// verdict says whether a bound holds of the results.
type verdict struct {
	met    bool // by the median, alone
	held   int  // rounds in which it held
	rounds int
}

// judge holds results against a bound. No rounds: not met.
func judge(b bound, base, values []float64) verdict {
	seen := values
	if b.relative {
		seen = ratios(values, base)
	}
	v := verdict{met: b.holds(median(seen)), rounds: len(seen)}
	for _, x := range seen {
		if b.holds(x) {
			v.held++
		}
	}
	return v
}

func (b bound) holds(x float64) bool {
	if b.least {
		return x >= b.limit
	}
	return x <= b.limit
}

// String tells the verdict; where the rounds do not agree, in how many of them it held.
func (v verdict) String() string {
	word := "NOT met"
	if v.met {
		word = "met"
	}
	if v.held == 0 && !v.met || v.held == v.rounds {
		return word
	}
	return fmt.Sprintf("%s (held in %d of %d rounds)", word, v.held, v.rounds)
}

// text writes the bound as the report does: "<= 0.4 x", ">= 10,000 put/s".
func (b bound) text(unit string) string {
	op := "<="
	if b.least {
		op = ">="
	}
	if b.relative {
		return fmt.Sprintf("%s %s x", op, strconv.FormatFloat(b.limit, 'g', 3, 64))
	}
	limit := strconv.FormatFloat(b.limit, 'f', -1, 64)
	if b.limit == math.Trunc(b.limit) {
		limit = commas(limit)
	}
	return strings.TrimSpace(op + " " + limit + " " + unit)
}

// number writes a measured value to three digits or to the unit, with commas.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "-"
	case a < 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case a < 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return commas(strconv.FormatFloat(x, 'f', 0, 64))
	}
}

// commas separates the thousands of a whole number.
func commas(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
