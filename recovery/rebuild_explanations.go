package recovery

import "github.com/etcdops/etcdops/ops"

// rebuildRefusals explains why a rebuild was not begun.
func rebuildRefusals() []ops.Explanation {
	return []ops.Explanation{
		explain(CodeQuorumWorks, "a majority works, or may work: there is nothing to rebuild",
			"Members answered and follow a leader; or they have authentication, and do not say without a user whether they do. A rebuild would make a second cluster beside a living one.", nothingChanged,
			"etcdops health says what is wrong", "a single member is replaced with: etcdops recover member NAME",
			"members with authentication: --user NAME --password-file FILE; or stop them first, and keep them from starting"),
		explain(CodeClusters, "the sources are of several clusters",
			"The logs in the data directories carry different cluster IDs: one of the paths is wrong, or a member was once started afresh.", nothingChanged,
			"etcdops inspect DIR... shows whose each directory is", "leave out what does not belong to the cluster"),
		explain(CodeFork, "the logs are of several histories",
			"Two directories of one cluster ID have different entries where one of them knows a commit. Two clusters were made of one, for example by restoring on two machines with the same token. Where few directories are left it can also be that the better log's end was replaced by a later leader whose log is missing.",
			"Either may hold acknowledged writes that the other has not. Nothing was changed.",
			"find out which of them clients used last; etcdops inspect shows revisions and entries", "leave the others out, and keep them"),
		explain(CodeContents, "the databases differ, and nothing says which is right",
			"At one revision the keys have different checksums, and of the directories that could be compared no more than half agree. A disk has changed bytes, or a bug has.",
			"One of them has wrong values. Nothing was changed.",
			"name a further source, such as a backup: --from, --snapshot", "choose with --seed NAME, if you know which is right"),
		explain(CodeNoSeed, "nothing can be made a cluster of",
			"Every source is damaged, of a learner, of a removed member, or has the alarm CORRUPT; the error says which is what.", nothingChanged,
			"name further sources: --from NAME=DIR, --snapshot FILE", "a damaged log beside a good database: --snapshot DIR/member/snap/db uses the database alone, and loses what only the log had"),
		explain(CodeNoServer, "there is no server that may replay the log",
			"The log has entries that its database does not contain. A server of another minor version may not know them or apply them differently (3.7 cannot replay 3.5's log).", nothingChanged,
			"--etcd-binary /path/to/etcd of the minor version that the error names", "with that version's etcd in PATH it is found"),
		explain(CodeMembers, "the members of the new cluster are not right",
			"A name or a peer URL is there twice or missing, or there are none or more than seven.", nothingChanged,
			"--members cp-1,cp-2=https://10.0.0.2:2380: old members by name, new ones with their peer URL"),
		explain(CodeRunning, "a member of the old cluster runs",
			"Its log may still change, and after the rebuild it would be a member of a cluster that is gone.", nothingChanged,
			"stop it and keep it from starting: systemctl stop etcd && systemctl mask --runtime etcd; static pod: move its manifest out of the manifests' directory"),
		explain(CodeConsent, "a plan that may lose writes was not agreed to",
			"The verdict is \"possibly lossy\": writes that only missing members acknowledged may be gone.", nothingChanged,
			"look for the missing data directories first: one more may make it complete", "agree by typing the word that is asked for, or with --accept-risk=lossy in scripts"),
	}
}
