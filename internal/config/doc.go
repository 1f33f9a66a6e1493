// Package config finds out how to reach the cluster: it merges flags, environment variables, contexts and what this
// machine knows about its etcd into one ops.Config, and remembers where each setting came from.
package config
