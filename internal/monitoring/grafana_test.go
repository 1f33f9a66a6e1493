package monitoring_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/monitoring"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestDashboardNamesMetricsThatExist: a panel without data looks like a healthy one.
func TestDashboardNamesMetricsThatExist(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3}) // metrics of peers need peers
	client := c.Client(t)
	if _, err := client.Put(clustertest.Context(t, 10*time.Second), "key", "value"); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Members[0].ClientURL+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	names := monitoring.Metrics()
	if len(names) < 20 {
		t.Errorf("only %d metrics found in the dashboard: %v", len(names), names)
	}
	for _, name := range monitoring.AlertMetrics(monitoring.DefaultAlertOptions()) {
		if strings.HasPrefix(name, "etcd_") || strings.HasPrefix(name, "grpc_") {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^`+name+`(\{| )`).Match(text) && !registered(name) {
			t.Errorf("a running member has no metric %s", name)
		}
	}
}

// registered reports whether the server's packages, which are linked into this test, have a metric of that name: those with
// labels are not told before something was counted.
func registered(name string) bool {
	probe := prometheus.NewGauge(prometheus.GaugeOpts{Name: strings.TrimSuffix(name, "_bucket"), Help: "the same name with another help is refused"})
	if prometheus.Register(probe) != nil {
		return true
	}
	prometheus.Unregister(probe)
	return false
}

func TestRegistered(t *testing.T) {
	t.Parallel()
	if registered("etcd_no_such_metric") || !registered("etcd_network_peer_round_trip_time_seconds_bucket") {
		t.Error("the proof that a metric exists is none")
	}
}

func TestDashboardIsOneThatGrafanaTakes(t *testing.T) {
	t.Parallel()
	text, err := monitoring.Grafana()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		UID    string
		Panels []struct {
			ID      int
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]bool{}, map[[2]int]int{}
	for _, p := range doc.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the ID %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %d lies on panel %d, or outside, at %d,%d", p.ID, other, x, y)
				}
				taken[[2]int{x, y}] = p.ID
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d asks for nothing", p.ID)
		}
	}
}
