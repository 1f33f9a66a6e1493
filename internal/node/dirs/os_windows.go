package dirs

import "io/fs"

// Members are not recovered on Windows: only the build must pass.

// IsMount knows no file systems within others.
func IsMount(string, fs.FileInfo) bool { return false }

func owner(fs.FileInfo) (uid, gid int) { return 0, 0 }

func free(string) int64 { return 0 }

func locked(string) bool { return false }

// Inherit does nothing.
func Inherit(string, string, fs.FileInfo) error { return nil }
