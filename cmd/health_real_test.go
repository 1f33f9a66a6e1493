package cmd

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// TestHealthDocuments holds what is written of a real cluster against the published schema: of three members, with one
// dead, with two, with all. The dead ones are in it.
func TestHealthDocuments(t *testing.T) {
	t.Parallel()
	schema := publishedSchema(t)
	c := clustertest.New(t, clustertest.Options{Size: 3})
	for dead := 0; ; dead++ {
		text, errOut, code := testRun(t, "health", "-w", "json", "--no-discover", "--member-timeout", "10s",
			"--threshold", "read.latency=-", "--endpoints", strings.Join(c.Endpoints(), ","))
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%d dead: %v", dead, err)
		}
		var r health.Report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for _, m := range r.Members {
			if m.State == health.StateRefused && m.Code == ops.CodeRefused && m.Version == nil {
				refused++
			}
		}
		want := 0
		if dead >= 2 {
			want = 5
		}
		if errOut != "" || code != want || dead < 3 && (len(r.Members) != 3 || refused != dead) || dead == 3 && len(r.Strays) != 3 {
			t.Errorf("%d dead: exit %d, %d members, %d refused, %d strays, %q", dead, code, len(r.Members), refused, len(r.Strays), errOut)
		}
		if dead == 3 {
			return
		}
		c.Members[dead].Kill(t)
	}
}

// TestSickClusterDelaysNobody looks at two clusters of which one does not answer before the other was printed, and one that
// cannot be asked: each is printed when it is known, and none is missing.
func TestSickClusterDelaysNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	printed := make(chan struct{})
	looks := map[string]func(context.Context, health.Options, localLook) (health.Facts, string, error){
		"sick": func(ctx context.Context, _ health.Options, _ localLook) (health.Facts, string, error) {
			select {
			case <-printed:
				return sampleFacts("m1"), "sick", nil
			case <-ctx.Done():
				return health.Facts{}, "sick", ctx.Err()
			}
		},
		"broken": func(context.Context, health.Options, localLook) (health.Facts, string, error) {
			return health.Facts{}, "broken", &ops.HintError{Op: "read", Err: context.DeadlineExceeded}
		},
		"good": func(context.Context, health.Options, localLook) (health.Facts, string, error) {
			return sampleFacts("m1"), "good", nil
		},
	}
	var targets []target
	for _, name := range []string{"sick", "broken", "good"} {
		targets = append(targets, target{name: name, look: looks[name]})
	}
	a, _, _ := testApp()
	var order []string
	results, err := a.lookAt(ctx, targets, healthPlan{}, func(_ *ui.Streams, r result) error {
		if order = append(order, r.name); len(order) == 2 {
			close(printed)
		}
		return nil
	})
	if err != nil || len(order) != 3 || order[2] != "sick" {
		t.Fatalf("printed %q, %v", order, err)
	}
	var names []string
	for _, r := range results {
		names = append(names, r.name)
	}
	if !slices.Equal(names, []string{"sick", "broken", "good"}) || results[1].err == nil || results[0].err != nil {
		t.Errorf("results %q", names)
	}
	if class, failed := classOf(results, failOnCritical); !failed || class != ops.ClassCritical {
		t.Errorf("class %v, %v", class, failed)
	}
}
