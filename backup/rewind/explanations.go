package rewind

import "github.com/etcdops/etcdops/ops"

// Explanations returns one explanation for each code of this package, in the order of the codes.
func Explanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeCompacted), Title: "the revision is older than the history that is kept",
			Cause:  "A database file holds the changes since its last compaction; the revision asked for lies before it.",
			Danger: "None: nothing was written.",
			Fix:    []string{"a backup that was taken earlier may reach the revision", "take backups more often than the cluster compacts, and every revision can be restored"},
		},
		{
			Code: string(CodeAhead), Title: "the revision is newer than the backup",
			Cause:  "The database file ends before the revision asked for.",
			Danger: "None: nothing was written.",
			Fix:    []string{"a backup that was taken later may reach the revision"},
		},
		{
			Code: string(CodeLeaseMissing), Title: "keys hang on leases that have ended since",
			Cause:  "Leases are no part of the history: one that ended after the revision is not in the file, while keys of the revision hang on it.",
			Danger: "None: nothing was written. Keys on a lease that does not exist would never expire.",
			Fix:    []string{"--leases regrant makes the leases again, with a new time to live", "--leases strip keeps the keys for ever"},
		},
	}
}
