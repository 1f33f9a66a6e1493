// Package v2keys serves the keys API of etcd before 3.6 (/v2/keys, /v2/members, /v2/machines, /v2/stats) from the store of
// v3.
//
// Each file and directory of the old tree is a key below Prefix; a request is one transaction of v3, its index the
// revision. What the API answers is decided by pure functions over what was read (decide.go) and committed only if that
// still holds (store.go). TTLs are leases. One watch of v3 (hub.go) serves all who wait.
package v2keys
