package monitoring_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/etcdops/etcdops/internal/monitoring"
)

// TestPrometheusTakesTheRules has Prometheus read the file, with its templates.
func TestPrometheusTakesTheRules(t *testing.T) {
	t.Parallel()
	text, err := monitoring.AlertRules(monitoring.DefaultAlertOptions())
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false)
	if len(errs) > 0 {
		t.Fatalf("%v\n%s", errs, text)
	}
	names := map[string]bool{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if names[r.Alert] {
				t.Errorf("two alerts are called %s", r.Alert)
			}
			names[r.Alert] = true
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
				t.Errorf("%s says too little: %v %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
	if len(names) < 25 {
		t.Errorf("only %d alerts: %v", len(names), slices.Sorted(maps.Keys(names)))
	}
	if strings.Contains(string(text), "for: 0m") {
		t.Error("a rule waits for no time at all")
	}
}

func TestAlertMetrics(t *testing.T) {
	t.Parallel()
	o := monitoring.DefaultAlertOptions()
	found := monitoring.AlertMetrics(o)
	for _, g := range monitoring.Alerts(o) {
		for _, a := range g.Alerts {
			expr, err := parser.ParseExpr(a.Expr)
			if err != nil {
				t.Fatal(err)
			}
			parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
				if v, ok := n.(*parser.VectorSelector); ok && !slices.Contains(found, v.Name) {
					t.Errorf("%s asks for %s, which AlertMetrics does not name", a.Name, v.Name)
				}
				return nil
			})
		}
	}
}

func TestAlertOptions(t *testing.T) {
	t.Parallel()
	o := monitoring.DefaultAlertOptions()
	o.Job, o.Objective = `etcd-"a"|b\.c`, 25*time.Hour
	text, err := monitoring.AlertRules(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := rulefmt.Parse(text, false); len(errs) > 0 {
		t.Fatalf("%v\n%s", errs, text)
	}
	if !strings.Contains(string(text), "> 90000") {
		t.Error("the objective is not in the rules")
	}
	for _, bad := range []func(*monitoring.AlertOptions){
		func(o *monitoring.AlertOptions) { o.Job = "(" }, func(o *monitoring.AlertOptions) { o.Objective = 0 }, func(o *monitoring.AlertOptions) { o.ClockLimit = -1 },
	} {
		o := monitoring.DefaultAlertOptions()
		bad(&o)
		if _, err := monitoring.AlertRules(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
