package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 2, 3}, 2.5},
		{[]float64{1, 1, 100}, 1},
	} {
		in := slices.Clone(tc.values)
		if got := median(in); got != tc.want {
			t.Errorf("median(%v) = %v, want %v", tc.values, got, tc.want)
		}
		if !slices.Equal(in, tc.values) {
			t.Errorf("median changed its input to %v", in)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, tc := range []struct {
		values  []float64
		p, want float64
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
		{hundred, 0, 1},
		{[]float64{7}, 99, 7},
		{[]float64{1, 2, 3}, 50, 2},
	} {
		if got := percentile(tc.values, tc.p); got != tc.want {
			t.Errorf("percentile %g of %d values: got %v, want %v", tc.p, len(tc.values), got, tc.want)
		}
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("percentile of nothing is %v", got)
	}
}

func TestRatiosPairRounds(t *testing.T) {
	// A disturbance that doubles both sides of one round leaves no trace.
	got := ratios([]float64{2, 4, 2}, []float64{1, 2, 1})
	if !slices.Equal(got, []float64{2, 2, 2}) {
		t.Errorf("got %v", got)
	}
	if got := ratios([]float64{1, 2}, []float64{1}); len(got) != 1 {
		t.Errorf("a round without its partner was counted: %v", got)
	}
}

func TestTurn(t *testing.T) {
	for _, tc := range []struct{ sides, want string }{
		{"ab", "ab ba ba ab ab ba"},
		{"abc", "abc cba bca acb cab bac abc"},
		{"a", "a a"},
	} {
		var got []string
		for round := range strings.Fields(tc.want) {
			got = append(got, strings.Join(turn(strings.Split(tc.sides, ""), round), ""))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, want %q", tc.sides, got, tc.want)
		}
	}
}
