// Package lazymetrics keeps the registration of metrics out of the start of the program.
//
// The packages of the etcd server register some 250 metrics while they are initialised. Each registration asks the
// collector for its description over a channel from a second goroutine, and during initialisation the main goroutine is
// bound to its thread: every one costs two switches between threads, together half of the time of `etcdops version`.
// This package puts a registry in front of Prometheus's default one that notes collectors until the program has started
// (Started), and registers them when metrics are first used: another collector comes, or metrics are gathered.
//
// It relies on the order of initialisation, which the language's tools fix: of the packages whose imports are
// initialised, the first by import path goes next. This one imports nothing but the Prometheus client and sorts before
// go.etcd.io. Should that ever change, metrics are registered early as they would be without it, and a test fails.
package lazymetrics

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// registry notes what is registered before started is set, and hands it to the registry behind at the first use after.
type registry struct {
	registerer prometheus.Registerer
	gatherer   prometheus.Gatherer

	mu      sync.Mutex
	started bool // package initialisation is over
	settled bool // nothing is pending any more
	pending []prometheus.Collector
	err     error // of the deferred registrations
}

//nolint:gochecknoglobals // the default registry that it stands before is a global
var front = &registry{registerer: prometheus.DefaultRegisterer, gatherer: prometheus.DefaultGatherer}

//nolint:gochecknoinits // only an init can come before the server packages' own
func init() {
	prometheus.DefaultRegisterer, prometheus.DefaultGatherer = front, front
}

// Started says that the packages are initialised: the main function calls it first. From then on registrations are made
// when they are asked for, so that whoever asks learns of duplicates.
func Started() {
	front.mu.Lock()
	defer front.mu.Unlock()
	front.started = true
}

// Pending returns the number of collectors that wait to be registered.
func Pending() int {
	front.mu.Lock()
	defer front.mu.Unlock()
	return len(front.pending)
}

// Register implements prometheus.Registerer. Before the program has started it notes c and returns nil.
func (r *registry) Register(c prometheus.Collector) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started && !r.settled {
		r.pending = append(r.pending, c)
		return nil
	}
	r.settle()
	return r.registerer.Register(c)
}

// MustRegister implements prometheus.Registerer.
func (r *registry) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (r *registry) Unregister(c prometheus.Collector) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
	return r.registerer.Unregister(c)
}

// Gather implements prometheus.Gatherer. What could not be registered is an error beside what could.
func (r *registry) Gather() ([]*dto.MetricFamily, error) {
	r.mu.Lock()
	r.settle()
	err := r.err
	r.mu.Unlock()
	families, gatherErr := r.gatherer.Gather()
	return families, errors.Join(err, gatherErr)
}

// settle registers what waits, once. r.mu is held.
func (r *registry) settle() {
	if r.settled {
		return
	}
	r.settled = true
	for _, c := range r.pending {
		r.err = errors.Join(r.err, r.registerer.Register(c))
	}
	r.pending = nil
}
