//go:build !unix

package server

import "os"

// writable tells whether this process may change a file or directory; here only etcd itself finds out.
func writable(string, os.FileInfo) error { return nil }
