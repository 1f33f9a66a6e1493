package main

import (
	"context"
	"fmt"
	"slices"
)

// The sides of a comparison, as the report names them.
const (
	sideEtcd      = "etcd"
	sideEtcdctl   = "etcdctl"
	sideOps       = "etcdops"
	sideOpsSameGC = "etcdops, GOGC=100" // its garbage collector set as upstream's
)

// experiment is one entry of the table: what is measured, on which sides, and what must hold.
type experiment struct {
	name    string // selects it with -only; results are kept under it
	title   string
	about   string   // the workload, for the reader of the report
	sides   []string // the first is what the others are compared with
	metrics []metric
	bounds  []bound
	rounds  int // how often each side is measured
	warmups int // rounds before them that are thrown away

	// prepare makes what all rounds share (data, a running member) and returns the function that measures one side
	// once. What it makes lives until the lab is closed.
	prepare func(context.Context, *lab) (measureFunc, error)
}

// measureFunc measures one side once.
type measureFunc func(ctx context.Context, side string) (sample, error)

// sample holds one value per metric, in the metric's unit.
type sample map[string]float64

// metric is something measured.
type metric struct {
	name string
	unit string // "put/s", "ms", "MB" (1,000,000 bytes)
}

// The metrics that several rows share.
const (
	wallTime   = "wall time"
	cpuTime    = "CPU time"
	peakMemory = "peak memory"
	throughput = "throughput"
	p50        = "p50"
	p99        = "p99"
)

// bound is what must hold of one metric of one side.
type bound struct {
	metric, side string
	least        bool // at least limit; else at most
	relative     bool // limit is a multiple of the first side's value in the same round
	limit        float64
}

func atLeast(metric, side string, limit float64) bound {
	return bound{metric: metric, side: side, least: true, limit: limit}
}

func atMost(metric, side string, limit float64) bound {
	return bound{metric: metric, side: side, limit: limit}
}

// times makes the limit a multiple of the first side's value.
func (b bound) times() bound {
	b.relative = true
	return b
}

// check finds a sample that is not what the experiment declares.
func (e *experiment) check(s sample) error {
	for _, m := range e.metrics {
		if _, ok := s[m.name]; !ok {
			return fmt.Errorf("%s: no value of %q", e.name, m.name)
		}
	}
	for name := range s {
		if !slices.ContainsFunc(e.metrics, func(m metric) bool { return m.name == name }) {
			return fmt.Errorf("%s: %q is not declared", e.name, name)
		}
	}
	return nil
}
