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
				"take a snapshot: etcdops snapshot save before.db --endpoints ONE-HEALTHY-MEMBER",
				"stop the member, and keep it from starting by itself",
				"find its ID and remove it: etcdops member list; etcdops member remove ID",
				"set its data aside, and a separate WAL directory likewise; do not delete them yet: mv DATA-DIR DATA-DIR.old",
				"add it again: etcdops member add NAME --learner --peer-urls=URL",
				"start it with exactly the settings that this prints (--initial-cluster-state=existing)",
				"wait until its applied index has caught up with the others (etcdops status), then: etcdops member promote ID",
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
				"stop every member that is left, and copy each data directory (and WAL directory) to a safe place first",
				"compare them: the one with the highest last raft term and index has the most; work on copies only",
				"with a recent snapshot: etcdops snapshot restore FILE --name NAME --initial-cluster NAME=PEER-URL " +
					"--initial-advertise-peer-urls PEER-URL --initial-cluster-token A-NEW-UNIQUE-TOKEN --data-dir NEW-DIR",
				"without one, start a copy of the best directory once: etcdops serve --force-new-cluster --data-dir COPY, cut off from the old members",
				"etcdops health, then add the others one by one with empty directories: etcdops explain replace-member",
			},
		},
	}
}
