package main

import (
	"math"
	"testing"
)

func TestJudge(t *testing.T) {
	base := []float64{10, 10, 20}
	for _, tc := range []struct {
		name   string
		bound  bound
		values []float64
		want   string
	}{
		{"at most, met", atMost("m", "s", 0.5).times(), []float64{5, 4, 10}, "met"},
		{"at most, just missed", atMost("m", "s", 0.5).times(), []float64{5.1, 5.1, 10.2}, "NOT met"},
		{"by the median, not the mean", atMost("m", "s", 0.5).times(), []float64{100, 4, 8}, "met (held in 2 of 3 rounds)"},
		{"missed by the median", atMost("m", "s", 0.5).times(), []float64{5.1, 4, 10.1}, "NOT met (held in 1 of 3 rounds)"},
		{"at least, met", atLeast("m", "s", 1).times(), []float64{10, 11, 20}, "met"},
		{"at least, missed", atLeast("m", "s", 1).times(), []float64{9, 9, 19}, "NOT met"},
		{"absolute ignores the other side", atMost("m", "s", 9), []float64{9, 9, 9}, "met"},
		{"absolute, at least", atLeast("m", "s", 10_000), []float64{9_999, 9_999, 9_999}, "NOT met"},
		{"nothing was measured", atMost("m", "s", 9), nil, "NOT met"},
	} {
		if got := judge(tc.bound, base, tc.values).String(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestBoundText(t *testing.T) {
	for _, tc := range []struct {
		bound bound
		unit  string
		want  string
	}{
		{atMost("m", "s", 0.125).times(), "MB", "<= 0.125 x"},
		{atLeast("m", "s", 1.1).times(), "put/s", ">= 1.1 x"},
		{atLeast("m", "s", 10_000), "put/s", ">= 10,000 put/s"},
		{atMost("m", "s", 0.5), "", "<= 0.5"},
	} {
		if got := tc.bound.text(tc.unit); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, tc := range []struct {
		in   float64
		want string
	}{
		{0, "0.00"},
		{0.125, "0.12"},
		{9.994, "9.99"},
		{12.34, "12.3"},
		{123.4, "123"},
		{1234, "1,234"},
		{1234567, "1,234,567"},
		{-1234, "-1,234"},
		{-123, "-123"},
		{math.NaN(), "-"},
		{math.Inf(1), "-"},
	} {
		if got := number(tc.in); got != tc.want {
			t.Errorf("number(%v) = %q, want %q", tc.in, got, tc.want)
		}
	}
}
