package recovery

import (
	"slices"

	"github.com/etcdops/etcdops/ops"
)

// nothingChanged is the danger of a refusal.
const nothingChanged = "None: nothing was changed."

// Explanations explains every code of recovery.
func Explanations() []ops.Explanation {
	return slices.Concat(refusals(), rebuildRefusals(), clusterStates(), journalStates())
}

func explain(code ops.Code, title, cause, danger string, fix ...string) ops.Explanation {
	return ops.Explanation{Code: string(code), Title: title, Cause: cause, Danger: danger, Fix: fix}
}

func refusals() []ops.Explanation {
	return []ops.Explanation{
		explain(CodeNoQuorum, "too few voters work to replace a member",
			"A membership change must be committed by a majority of the voters, and fewer work.", nothingChanged,
			"etcdops health shows who is missing; start those whose data is intact",
			"when they are gone for good: etcdops rebuild-cluster plan"),
		explain(CodeQuorumAtRisk, "a step of the plan would leave no majority",
			"With the target stopped or removed, the voters that were seen to work just now would be no majority.", nothingChanged,
			"etcdops quorum shows the arithmetic", "bring other voters back first, or add one: etcdops member add"),
		explain(CodeDisagree, "members disagree about the cluster",
			"They name different members, leaders or clusters: there is a partition, an election, or another cluster behind an endpoint.", nothingChanged,
			"etcdops health says who sees what", "try again when they agree"),
		explain(CodePending, "another change of the membership is not finished",
			"There is a learner, or a member that was added and never started. It is in the way of the server's own checks and of the majority.", nothingChanged,
			"finish it: start that member, or promote it (etcdops member promote)", "or take it back: etcdops member remove"),
		explain(CodeAlarm, "a member that is to survive has an alarm",
			"CORRUPT says that its data differ from others': the new member could be filled with the wrong ones. NOSPACE refuses writes.", nothingChanged,
			"etcdops alarm list; etcdops health says which member is the odd one",
			"replace the member with the corrupt data, not another", "NOSPACE: compact, defrag, then etcdops alarm disarm"),
		explain(CodeWiped, "the target's directory was emptied or replaced while it is a member",
			"It runs, and its data directory is empty or holds other files than those it has open. Started again on that directory it has forgotten what it voted for.",
			"Acknowledged writes may be lost when such a member votes. Nothing was changed by this refusal.",
			"stop it, do not start it again, and keep every directory that was ever its own",
			"then run this again: its ID is removed before anything is started on that directory"),
		explain(CodeDiskSmall, "the target's disk is too small for the data",
			"A new member needs room for the snapshot that arrives and the database beside it, and for an empty log: twice the database and 128 MiB.", nothingChanged,
			"free space on that file system; old directories (*.etcdops-*): etcdops recover clean"),
		explain(CodeNotFenced, "nobody knows whether the target is off",
			"Its machine cannot be worked on from here, and its ports do not refuse connections: packets just vanish. It may run behind a cut link.", nothingChanged,
			"reach it: --via ssh:HOST", "or switch it off, make sure that it stays off, and say so: --fenced"),
		explain(CodeVersion, "the target's program does not fit the cluster",
			"A member must be of the cluster's minor version or one above it; learners need every voter at 3.4 or newer.", nothingChanged,
			"etcdops status shows the versions; install the cluster's on the target"),
		explain(CodeRights, "the user may not change the membership",
			"With authentication on, only users with the role root may do that.", nothingChanged,
			"name one: --user root --password-file FILE"),
		explain(CodeStale, "the cluster is not as it was when the plan was made",
			"Members, their state, the target's machine or its files changed since.", nothingChanged,
			"make the plan again and read it: the same command with --dry-run"),
		explain(CodeLocked, "another run works on this cluster",
			"Only one operation at a time may change a cluster. It holds a lock on its machine and one in the cluster.", nothingChanged,
			"wait for its end, or resume it where it was started: etcdops recover list",
			"a run that was killed frees the cluster's lock after 30 s"),
		explain(CodeLockLost, "the lock in the cluster was lost",
			"The lease ran out, because this process or its network stood still, or somebody removed the key.",
			"Another run may have begun. This one stopped before its next step.",
			"etcdops recover list; then resume, or leave it to the other run"),
		explain(CodeNoTarget, "there is no such member", "No member has that name, ID or URL.", nothingChanged, "etcdops member list"),
		explain(CodeNoDriver, "the target's machine cannot be worked on this way",
			"The driver that was chosen does not find how the member is started, or lacks a program or permission that it needs.", nothingChanged,
			"name another: --via ssh:HOST, systemd:UNIT, process:FILE, hooks:PROGRAM or manual",
			"docs/drivers.md says what each needs"),
		explain(CodeNotHealthy, "set-aside directories are kept until the cluster is healthy",
			"They may be the last copy of something.", nothingChanged, "etcdops health; then again"),
		explain(CodeForeign, "the machine holds another member than the target",
			"The name, the member's ID in the data, or the peer URLs that it is started with are not the target's.", nothingChanged,
			"check the machine named by --via, and the member named on the command line"),
	}
}

func clusterStates() []ops.Explanation {
	return []ops.Explanation{
		explain(CodeStillUp, "the target answers although it was stopped",
			"Something listens on its addresses: it was started again, or another process took them.",
			"It was not removed yet: stopped half-way, nothing lost.", "find what starts it, stop that, and resume"),
		explain(CodeStalled, "the new member makes no progress",
			"It runs, and neither its data nor its applied index grow: its peer URL is wrong, a firewall is in between, or its disk hangs.",
			"None for the data: it was taken back out of the cluster, which works as before it was added.",
			"on its machine: the log of etcd; are the peer URLs of all members reachable from there, and its own from them?",
			"etcdops recover member --resume; with another address: etcdops recover member --resume --peer-urls URL"),
		explain(CodeDied, "the new member ended while it was filled",
			"Its log says why: a full disk, a wrong certificate, a port in use.",
			"None for the data: it was taken back out of the cluster, which works as before it was added.",
			"mend the cause, then: etcdops recover member --resume"),
		explain(CodeDiffer, "members hold different data",
			"Their hashes at one revision and compact revision are not equal.",
			"A read may return other data on one member than on another.",
			"etcdops endpoint hashkv; take a backup of each member now, and find the odd one before anything else"),
		explain(CodeUnproven, "the end state could not be proven",
			"A member did not answer for its hash, or the probe write was not acknowledged in time.",
			"None known: what could not be checked is not called good.", "etcdops health; then resume, which checks again"),
		explain(CodeBackup, "no backup could be taken",
			"Recovery begins with a snapshot whose checksum was verified. It could not be read or stored.", nothingChanged,
			"name a place with room: --backup-to DIR, or a repository: --backup-to s3://BUCKET/PREFIX"),
	}
}

func journalStates() []ops.Explanation {
	return []ops.Explanation{
		explain(CodeNoWayBack, "the operation can only be gone on with",
			"It cannot be taken back from where it stands: its member may have been removed and nobody can confirm that, its machine is out of reach, it votes again already, or a new cluster may have taken writes.", nothingChanged,
			"etcdops recover member --resume, or etcdops rebuild-cluster resume, goes on from there",
			"without a majority: start members whose data is intact first (etcdops health)"),
		explain(CodeStopped, "stopped half-way",
			"A step failed or was interrupted after the first change. The journal knows what was done.",
			"The cluster has a majority: each step proved that before it was taken.",
			"mend what the error says, then: etcdops recover member --resume", "etcdops recover list shows what was done",
			"to give it up: etcdops recover abandon shows what can be taken back, and asks"),
		explain(CodeJournal, "the journal cannot be used",
			"Its file cannot be read or written, or was changed by somebody.",
			"What was done stays done; nothing is done without a record.",
			"free space, or mend the disk that it is on; do not edit it", "etcdops member list shows where the cluster stands"),
		explain(CodeState, "the directory of journals cannot be used",
			"It cannot be made or written. It is below $XDG_STATE_HOME where that is set; else below /var/lib for root, below ~/.local/state for others.", nothingChanged,
			"--state-dir DIR names another"),
		explain(CodeSeveral, "several operations are not finished", "Each has a journal of its own.", nothingChanged,
			"etcdops recover list; then --operation NAME"),
		explain(CodeNothing, "there is nothing to resume", "No operation of this kind is unfinished for this cluster on this machine.", nothingChanged,
			"etcdops recover list; journals stay on the machine (and with the user) that began them"),
		explain(CodePlan, "the file of a plan cannot be used",
			"It is no plan of this version, or was changed after it was made.", nothingChanged, "make it again with --dry-run -w json"),
	}
}
