// Package pitr restores any revision that a repository covers: it takes a base back to a revision of its own history, or
// writes archived changes behind it, and proves the result by the hashes that the cluster itself computed.
//
// No server runs meanwhile: entries go straight into the bucket "key" of the database file, so no lease expires into them,
// nothing is applied twice, and it is as fast as the disk.
package pitr
