//go:build !linux

package main

// What Linux tells of a machine is unknown elsewhere.

func cpuModel() string { return "" }

func memoryGB() float64 { return 0 }

func kernelRelease() string { return "" }

func loadAverage() float64 { return 0 }

func diskOf(string) string { return "" }

func syncTime(string) (float64, error) { return 0, nil }
