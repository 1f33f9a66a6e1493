// Package ledger proves that a cluster lost nothing: it writes while others make faults, keeps its own record of what
// was acknowledged, and judges the cluster by that record.
//
// Three proofs stand beside each other:
//
//   - The ledger: every write has a key and a value of its own; the intent is recorded before the write is sent, the
//     acknowledgement is on disk before the next write of that worker. An acknowledged write must be readable at its
//     revision, one that failed for sure must not, an unknown one may be either, and what was never sent is a phantom.
//     Write makes the record, Check judges it.
//   - Linearizability: reads, writes and compare-and-swaps of registers, with the time of call and return, judged by
//     porcupine. Exercise makes the history, Linearizable judges it.
//   - Hashes: all members hold the same keys and history at one revision. EqualHashes judges it.
//
// Every answer that could not be had is a failure, never a pass. The file of a Ledger belongs on a file system that the
// faults do not touch. All random choices come from a seed, which the caller prints.
package ledger
