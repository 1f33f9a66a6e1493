//go:build unix

package config

import (
	"os"
	"syscall"
)

// firstPerson is the lowest uid that distributions give to people; below are root and the accounts of services.
const firstPerson = 1000

// ofAnotherPerson reports whether a file belongs to somebody who logs in, and is not this user: what he runs must not lead
// others, root above all, with their passwords to a server of his.
func ofAnotherPerson(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return true // gone, or not ours to see
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(stat.Uid) >= firstPerson && int(stat.Uid) != os.Geteuid()
}
