package health

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// value returns the sum of a metric's samples; known is false when there is none.
func (ms Metrics) value(name string) (sum float64, known bool) {
	for _, s := range ms {
		if s.Name == name {
			sum, known = sum+s.Value, true
		}
	}
	return sum, known
}

// each calls fn for every sample of a metric.
func (ms Metrics) each(name string, fn func(Sample)) {
	for _, s := range ms {
		if s.Name == name {
			fn(s)
		}
	}
}

// restarted reports whether the process of the later scrape is not that of the earlier: its counters began anew.
func restarted(before, now Metrics) bool {
	const start = "process_start_time_seconds"
	a, known := before.value(start)
	b, alsoKnown := now.value(start)
	return known && alsoKnown && math.Abs(a-b) > 1
}

// bucket is one step of a histogram: the number of observations up to a bound.
type bucket struct {
	upTo  float64
	count float64
}

// histogram collects the buckets of a metric by the value of one label, as what came between two scrapes; an empty label
// puts all together.
func histogram(before, now Metrics, name, label string) map[string][]bucket {
	out := map[string][]bucket{}
	add := func(ms Metrics, sign float64) {
		ms.each(name, func(s Sample) {
			upTo, err := strconv.ParseFloat(s.label("le"), 64)
			if err != nil || math.IsNaN(upTo) {
				return
			}
			key := ""
			if label != "" {
				key = s.label(label)
			}
			at := slices.IndexFunc(out[key], func(b bucket) bool { return b.upTo == upTo })
			if at < 0 {
				out[key], at = append(out[key], bucket{upTo: upTo}), len(out[key])
			}
			out[key][at].count += sign * s.Value
		})
	}
	add(now, 1)
	add(before, -1)
	for _, buckets := range out {
		slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.upTo, b.upTo) })
	}
	return out
}

// quantile99 estimates the 99th percentile as Prometheus' histogram_quantile does: evenly spread within a bucket. What lies beyond the last
// bound is told as that bound. total is the number of observations; with none there is no quantile.
func quantile99(buckets []bucket) (value, total float64) {
	if len(buckets) == 0 {
		return 0, 0
	}
	total = buckets[len(buckets)-1].count
	if total <= 0 {
		return 0, 0
	}
	rank, lower, below := 0.99*total, 0.0, 0.0
	for i, b := range buckets {
		if b.count < rank && i < len(buckets)-1 {
			lower, below = b.upTo, b.count
			continue
		}
		if math.IsInf(b.upTo, 1) || b.count <= below {
			return lower, total
		}
		return lower + (b.upTo-lower)*(rank-below)/(b.count-below), total
	}
	return lower, total
}

// increase returns by how much a counter grew between two scrapes, summed over the samples that keep takes; known is
// false when the later scrape has none.
func increase(before, now Metrics, name string, keep func(Sample) bool) (by float64, known bool) {
	now.each(name, func(s Sample) {
		known = true
		if keep == nil || keep(s) {
			by += s.Value
		}
	})
	before.each(name, func(s Sample) {
		if keep == nil || keep(s) {
			by -= s.Value
		}
	})
	return max(by, 0), known
}

// kept reports whether a metric's name is one that scrapes are searched for; tests hold the checks against it.
func kept(name string) bool {
	_, ok := slices.BinarySearchFunc(wanted(), name, strings.Compare)
	return ok
}

// ClusterVersion returns the version that the member says all members have agreed on, as in "3.7". known is false where
// it does not say.
func (ms Metrics) ClusterVersion() (version string, known bool) {
	ms.each("etcd_cluster_version", func(s Sample) {
		if s.Value == 1 { // the one before stays, as 0
			version = s.label("cluster_version")
		}
	})
	return version, version != ""
}
