// Package backup keeps snapshots of etcd clusters in a repository: takes them, verifies them, restores them, and says
// which may go.
//
// A repository is a set of immutable objects in a Store (a directory, S3, Azure). Its layout and its documents are
// described in docs/repository-format.md, in enough detail to restore by hand. The manifest of a backup is written last:
// what has none is debris, whatever else lies beside it.
//
// Nothing here prints, reads flags or ends the process. Failures that a person can act on are *ops.HintError.
package backup
