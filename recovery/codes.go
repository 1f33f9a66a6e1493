package recovery

import (
	"errors"
	"fmt"

	"github.com/etcdops/etcdops/ops"
)

// Codes of recovery. Those that begin with 4 are refusals of a guard; 6200 and up are of the journal.
const (
	CodeNoQuorum     ops.Code = "ETO-4050" // too few voters work to change the membership
	CodeQuorumAtRisk ops.Code = "ETO-4051" // a step would leave no majority
	CodeDisagree     ops.Code = "ETO-4052" // members disagree about the cluster
	CodePending      ops.Code = "ETO-4053" // a learner or a member that never started is in the way
	CodeAlarm        ops.Code = "ETO-4054" // a survivor has an alarm
	CodeWiped        ops.Code = "ETO-4055" // the target has an empty directory, or runs on one, under its old ID
	CodeDiskSmall    ops.Code = "ETO-4056" // no room for the data
	CodeNotFenced    ops.Code = "ETO-4057" // nobody knows whether the target is off
	CodeVersion      ops.Code = "ETO-4058" // the joiner's version does not fit
	CodeRights       ops.Code = "ETO-4059" // the user may not change the membership
	CodeStale        ops.Code = "ETO-4060" // the cluster changed since the plan was made
	CodeLocked       ops.Code = "ETO-4061" // another run works on the cluster
	CodeLockLost     ops.Code = "ETO-4062" // the lock was lost
	CodeNoTarget     ops.Code = "ETO-4063" // no such member
	CodeNoDriver     ops.Code = "ETO-4064" // the machine cannot be worked on this way
	CodeNotHealthy   ops.Code = "ETO-4065" // set-aside directories are not removed yet
	CodeForeign      ops.Code = "ETO-4066" // the node holds another member than the target
	CodeNoWayBack    ops.Code = "ETO-4067" // an operation can only be gone on with

	CodeQuorumWorks ops.Code = "ETO-4100" // a majority works: nothing is to be rebuilt
	CodeClusters    ops.Code = "ETO-4101" // sources of several clusters
	CodeFork        ops.Code = "ETO-4102" // logs of several histories
	CodeContents    ops.Code = "ETO-4103" // databases differ, and no majority says which is right
	CodeNoSeed      ops.Code = "ETO-4104" // no source can be made a cluster of
	CodeNoServer    ops.Code = "ETO-4105" // no server of the log's minor version
	CodeMembers     ops.Code = "ETO-4106" // the members of the new cluster are not right
	CodeRunning     ops.Code = "ETO-4107" // a member of the old cluster runs
	CodeConsent     ops.Code = "ETO-4108" // a lossy plan was not agreed to

	CodeStillUp  ops.Code = "ETO-5030" // the target answers although it was stopped
	CodeStalled  ops.Code = "ETO-5031" // the new member makes no progress
	CodeDied     ops.Code = "ETO-5032" // the new member ended
	CodeDiffer   ops.Code = "ETO-5033" // members hold different data
	CodeUnproven ops.Code = "ETO-5034" // the end state could not be proven
	CodeBackup   ops.Code = "ETO-5035" // no backup could be taken

	CodeStopped ops.Code = "ETO-6200" // stopped half-way
	CodeJournal ops.Code = "ETO-6201" // the journal cannot be used
	CodeState   ops.Code = "ETO-6202" // the directory of journals cannot be used
	CodeSeveral ops.Code = "ETO-6203" // several operations are not finished
	CodeNothing ops.Code = "ETO-6204" // nothing to resume
	CodePlan    ops.Code = "ETO-6205" // a plan's file cannot be used
)

// refuse builds the error of a guard that said no before anything was changed.
func refuse(code ops.Code, member string, cause error, hint string) *ops.HintError {
	return &ops.HintError{Code: code, Class: ops.ClassRefused, Op: "recover", Member: member, Err: cause, Hint: hint}
}

// refusef is refuse with a formatted cause.
func refusef(code ops.Code, member, hint, format string, args ...any) *ops.HintError {
	return refuse(code, member, fmt.Errorf(format, args...), hint)
}

// journalError words a failure of the journal. It is told at once, and nothing goes on: what is not on disk cannot be
// resumed.
func journalError(op, path string, err error) error {
	if _, told := errors.AsType[*ops.HintError](err); told {
		return err
	}
	return &ops.HintError{
		Code: CodeJournal, Class: ops.ClassFailure, Op: op, Member: path, Err: err,
		Hint: "the journal must be on a disk that works and has space; it is only ever appended to",
	}
}
