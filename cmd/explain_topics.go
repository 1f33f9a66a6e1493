package cmd

import "github.com/etcdops/etcdops/ops"

// topics are explained like codes: what to do where one command cannot do it.
func topics() []ops.Explanation {
	return []ops.Explanation{
		{
			Code:  "replace-member",
			Title: "replace a member whose data cannot be used any more",
			Cause: "The member lost its data, has the data of another cluster, or fell behind for good. It must leave the " +
				"cluster and come back under a new ID with an empty directory; the others send it the data.",
			Danger: "A member that starts empty under its old ID breaks promises that it made: acknowledged writes can be lost. " +
				"That is why the removal comes before anything else. Only one member at a time, and only while the others have quorum.",
			Fix: []string{
				"the other members must be healthy and have quorum: etcdops health; if not: etcdops explain quorum-lost",
				"look at the plan, which changes nothing: etcdops recover member NAME --dry-run",
				"a member of another machine: etcdops recover member NAME --via ssh:root@HOST/systemd:etcd --dry-run",
				"the same without --dry-run takes a backup, removes the old ID, sets the data aside, adds the member as a learner, " +
					"fills it, promotes it and compares; stopped half-way: etcdops recover member --resume",
				"a member that is not in the list any more (etcdops member list): set its data aside, and a separate WAL directory " +
					"likewise, then: etcdops member add NAME --peer-urls=URL",
				"start it with exactly the settings that this prints, and then: etcdops member promote NAME",
				"look again: etcdops health",
			},
		},
		{
			Code:  "quorum-lost",
			Title: "a majority of the voters is gone for good",
			Cause: "Machines or disks of a majority were lost. The members that are left hold the data, but no majority can " +
				"decide anything, so no membership change is possible either.",
			Danger: "Going on from one member loses the writes that only the lost members had. Wiping directories, or " +
				"--force-new-cluster on the original, makes what could be saved unsaveable: it drops the log's tail that may hold acknowledged writes.",
			Fix: []string{
				"be sure: a majority that can be started again, on its own directories, is always better",
				"stop every member that is left and keep it stopped; wipe, restore and start nothing: each data directory counts, a damaged one too",
				"see what is left and what would be lost, which changes nothing: etcdops rebuild-cluster plan --from NAME=DATA-DIR " +
					"--from NAME=ssh:HOST:/DATA-DIR (one --from for each directory)",
				"COMPLETE in its first line is a proof that no acknowledged write is lost; POSSIBLY LOSSY: look for the missing directories first",
				"carry it out: etcdops rebuild-cluster apply with the same --from, and with --via NAME=DRIVER for each member of the new " +
					"cluster; stopped half-way: etcdops rebuild-cluster resume",
				"no directory is left: etcdops rebuild-cluster apply --repo REPOSITORY, or --snapshot FILE, with the same --via",
				"look again: etcdops health",
			},
		},
	}
}
