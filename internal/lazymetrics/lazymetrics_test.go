package lazymetrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func newFront() (*registry, *prometheus.Registry) {
	behind := prometheus.NewRegistry()
	return &registry{registerer: behind, gatherer: behind}, behind
}

func counter(name string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: name})
}

func names(families []*dto.MetricFamily) []string {
	var out []string
	for _, f := range families {
		out = append(out, f.GetName())
	}
	return out
}

func TestRegistrationWaitsForGather(t *testing.T) {
	front, behind := newFront()
	front.MustRegister(counter("a"), counter("b"))
	if families, err := behind.Gather(); err != nil || len(families) != 0 {
		t.Fatalf("registered early: %v, %v", names(families), err)
	}
	families, err := front.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("Gather() = %v, %v; want a and b", names(families), err)
	}
	if err := front.Register(counter("a")); err == nil {
		t.Error("a duplicate after the first Gather was accepted")
	}
	if err := front.Register(counter("c")); err != nil {
		t.Errorf("Register after Gather: %v", err)
	}
}

func TestStartedProgramLearnsOfDuplicates(t *testing.T) {
	front, _ := newFront()
	front.MustRegister(counter("a"))
	front.started = true
	if err := front.Register(counter("a")); err == nil {
		t.Error("a duplicate of what waited was accepted")
	}
	if err := front.Register(counter("b")); err != nil {
		t.Errorf("Register(b): %v", err)
	}
	if families, err := front.Gather(); err != nil || len(families) != 2 {
		t.Errorf("Gather() = %v, %v; want a and b", names(families), err)
	}
}

func TestDuplicateThatWaitedIsReported(t *testing.T) {
	front, _ := newFront()
	front.MustRegister(counter("a"), counter("a"))
	for range 2 {
		families, err := front.Gather()
		if err == nil || len(families) != 1 {
			t.Fatalf("Gather() = %v, %v; want a and an error", names(families), err)
		}
	}
}

func TestUnregisterFindsWhatWaits(t *testing.T) {
	front, _ := newFront()
	a := counter("a")
	front.MustRegister(a)
	if !front.Unregister(a) {
		t.Error("Unregister did not know a collector that waited")
	}
}

func TestStandsBeforeTheDefaultRegistry(t *testing.T) {
	if prometheus.DefaultRegisterer != prometheus.Registerer(front) || prometheus.DefaultGatherer != prometheus.Gatherer(front) {
		t.Error("the default registry is not deferred")
	}
}
