// Package health judges a cluster in three steps that know nothing of each other:
//
//	Collect (I/O)  asks every member at once and writes down what it saw   -> Facts
//	Evaluate (pure) holds the facts against a table of checks              -> Report
//	Render         is somebody else's: the report is plain data
//
// Facts round-trip through JSON, so that a cluster that was sick last night can be judged again, by a newer table.
//
// Nothing here changes a cluster: no request becomes a raft proposal. Alarms are read from the members' status, never by
// AlarmList, which is a proposal; the only linearizable request is a read, which needs a confirmed leader and commits
// nothing. (With --user and a password the login itself is a proposal: etcd offers no other way to get a token.)
//
// What was not seen is never called ok. A check returns at least one outcome for everything it looked at; no outcome at
// all means that nothing could be looked at, which is unknown.
package health
