// Package clustertest runs clusters of real etcd members for tests.
package clustertest
