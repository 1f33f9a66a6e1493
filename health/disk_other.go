//go:build !linux && !darwin && !freebsd

package health

// ReadDisk tells that it does not know how much room a directory has.
func ReadDisk(dir string) Disk { return Disk{Path: dir, Problem: "not known on this system"} }
