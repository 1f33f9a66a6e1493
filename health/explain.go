package health

import "github.com/etcdops/etcdops/ops"

// Explanations returns one entry for every check, in the order of the table.
func Explanations() []ops.Explanation {
	var out []ops.Explanation
	for _, c := range Checks() {
		out = append(out, ops.Explanation{Code: c.ID, Title: c.Title, Cause: c.Cause, Danger: c.Danger, Fix: c.Fix})
	}
	return out
}
