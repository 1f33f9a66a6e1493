// Package archive keeps every change of an etcd cluster between its backups, so that any revision of it can be restored.
//
// A follower reads the cluster's watch stream and writes it as segments: runs of revisions without a gap, each change in
// the very bytes that members keep in their bucket "key". Segments that continue each other form a timeline. Where history
// cannot be continued, because the cluster compacted what was not read yet or because its history is another one, a new
// timeline begins at a new base.
//
// What makes it exact: every revision has at least one change, so a gap is seen as a missing number; the chain is a hash of
// all that came before, so equal chains at a revision mean equal histories. What is not in the stream (compactions,
// leases as granted, users) is sampled into notes; docs/pitr.md says what follows from that.
package archive
