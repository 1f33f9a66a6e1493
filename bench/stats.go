package main

import (
	"math"
	"slices"
)

// median returns the middle value, or the mean of the two middle ones; NaN of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// percentile returns the smallest value that at least p percent of the values do not exceed (nearest rank); NaN of
// nothing. The values must be sorted.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// ratios divides round by round: what disturbs a round disturbs both of its sides.
func ratios(values, base []float64) []float64 {
	out := make([]float64, min(len(values), len(base)))
	for i := range out {
		out[i] = values[i] / base[i]
	}
	return out
}

// turn returns the order in which the sides are measured in a round. Successive rounds walk through forward and
// backward orders of every rotation, so that no side is always first or always behind the same other.
func turn(sides []string, round int) []string {
	n := len(sides)
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, sides[(i+round/2)%n])
	}
	if round%2 == 1 {
		slices.Reverse(out)
	}
	return out
}
