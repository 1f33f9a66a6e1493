//go:build !linux

package server

// portHolder names the process that listens on a TCP port; only Linux tells.
func portHolder(int) string { return "" }

// lockHolder names the process that holds a lock on a file; only Linux tells.
func lockHolder(string) string { return "" }
