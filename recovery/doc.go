// Package recovery replaces failed members. A plan is made of facts by pure code, printed, confirmed, and carried out
// step by step through a journal, so that a run which is killed anywhere can be resumed: each step looks whether its
// effect is there before it acts.
//
// The parts that every kind of recovery shares: Node is the machine of one member and what can be done there; Plan and
// Step are plain data; Journal is the record on disk; Executor carries steps out.
package recovery
