// Package dbfile reads etcd's database files (bbolt, format 2) that nobody trusts.
//
// It reads page by page through an io.ReaderAt and checks every offset, size and page number before it uses them, so a
// damaged file ends in an error that names the page: it is never mapped into memory, nothing in it can crash the reader or
// make it run on or grow, and memory does not depend on the size of the file but for one bit a page and some bytes a key.
//
// Nothing here writes.
package dbfile
