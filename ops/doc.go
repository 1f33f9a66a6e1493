// Package ops works on a live cluster: it connects, reads the membership and each member's status, computes quorums
// and proves changes before they are made.
//
// It imports nothing else of this project and no etcd server package: everything else may build on it.
package ops
