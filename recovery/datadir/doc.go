// Package datadir reads what an etcd data directory, or a snapshot of its database, says about itself: identity,
// membership, the write-ahead log record by record, and the database page by page.
//
// It writes nothing and takes no lock, so that it can look at a directory while a member starts or runs there. It has
// readers of its own for both files, because etcd's tolerate what a person must be told (a damaged last record is dropped
// in silence) and because bbolt's end the process on a damaged page. Every length, offset and page number that comes out
// of a file is checked before it is used; Sandbox runs the whole of it in a child process with limits besides.
//
// Directories of etcd 3.4 to 3.7 are understood.
package datadir
