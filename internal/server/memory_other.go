//go:build !linux

package server

// availableMemory is unknown here, which leaves the collector at Go's own defaults.
func availableMemory() uint64 { return 0 }
