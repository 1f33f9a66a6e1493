// Package rebuildtest holds the tests of rebuilds on real members: under load, killed, damaged, of other versions.
package rebuildtest
