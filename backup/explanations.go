package backup

import (
	"slices"
	"strings"

	"github.com/etcdops/etcdops/backup/rewind"
	"github.com/etcdops/etcdops/ops"
)

// Explanations returns one explanation for each code of backups, in the order of the codes.
func Explanations() []ops.Explanation {
	all := slices.Concat(explainRefusals(), explainPlaces(), explainData(), rewind.Explanations())
	slices.SortFunc(all, func(a, b ops.Explanation) int { return strings.Compare(a.Code, b.Code) })
	return all
}

func explainRefusals() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeNewerFormat), Title: "the backup repository was written by a newer version",
			Cause:  "Its format has changed since this version of etcdops.",
			Danger: "None: nothing was read or written. An old version might prune or judge wrongly what it does not understand.",
			Fix:    []string{"use the version that takes the backups, or a later one"},
		},
		{
			Code: string(CodeForeignPlace), Title: "the place for the repository holds something else",
			Cause:  "The directory or bucket is not empty and no repository begins in it: a wrong path, or a mount that is missing.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"name an empty place, or the repository itself", "is the file system mounted? findmnt PATH"},
		},
		{
			Code: string(CodeWrongKey), Title: "the backup is encrypted for another key",
			Cause:  "No key was given, or none of those given opens the backup. The error says for which public keys it is encrypted.",
			Danger: "None: nothing was read or written. Without the key the backup is lost: keep it elsewhere than on the cluster.",
			Fix:    []string{"--identity FILE with the secret key of one of the recipients", "--passphrase-file FILE where it was encrypted with a passphrase"},
		},
		{
			Code: string(CodeTargetExists), Title: "a restore would write over something",
			Cause:  "The directory is there and not empty. A restore never writes over anything.",
			Danger: "None: nothing was changed. A data directory holds writes that no backup may have: do not delete it, set it aside.",
			Fix:    []string{"restore into a new directory", "is the member running? systemctl status etcd", "set the old directory aside: mv DIR DIR.aside"},
		},
		{
			Code: string(CodeBusy), Title: "another backup is under way",
			Cause:  "Another process of this machine takes a backup into the same repository.",
			Danger: "None: this run did nothing. If it happens each time, backups take longer than the time between them.",
			Fix:    []string{"wait for it: the error names the process", "--wait 10m waits for it"},
		},
		{
			Code: string(CodePruneRefused), Title: "the retention policy must not be applied",
			Cause:  "More than half of the backups would go at once, or a backup lies in the future: a clock went wrong, or the policy is not what was meant.",
			Danger: "None: nothing was removed.",
			Fix:    []string{"look at the list of what would go", "check the clock: timedatectl", "--force allows to remove more than half"},
		},
		{
			Code: string(CodeSlotTaken), Title: "the slot of the schedule has its backup already",
			Cause:  "Another scheduler has taken it, while this one was cut off, stopped or slow. A slot gets one backup.",
			Danger: "None: what this run had uploaded is no backup and is swept.",
			Fix:    []string{"etcdops backup list shows the backup", "if it happens often, look whether the schedulers lose the cluster: etcdops health"},
		},
	}
}

func explainPlaces() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeNoRepository), Title: "there is no backup repository",
			Cause:  "The place exists or not, but no repository was ever made in it; or its file system is not mounted.",
			Danger: "If backups were expected here, they are elsewhere or do not exist.",
			Fix:    []string{"check --repo and ETCDOPS_BACKUP_REPO", "the first backup makes a repository"},
		},
		{
			Code: string(CodeStore), Title: "the store of the backup repository failed",
			Cause:  "The disk is full or read-only, a permission is missing, or the object store refused the request; the error says which.",
			Danger: "The backup under way is not taken. Backups that were there before are not touched.",
			Fix:    []string{"mend what the error names and run the command again", "verify the others"},
		},
		{
			Code: string(CodeBadPlace), Title: "the place of the repository cannot be understood",
			Cause:  "--repo or ETCDOPS_BACKUP_REPO is neither a directory nor a URL of a known kind.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"a directory: /var/backups/etcd", "s3://BUCKET/PREFIX?endpoint=HOST:PORT&region=REGION", "azblob://CONTAINER/PREFIX?account=NAME"},
		},
		{
			Code: string(CodeKeyFile), Title: "a key file cannot be used",
			Cause:  "A file of age recipients, of identities or with a passphrase is missing, cannot be read, or holds something else.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"age-keygen -o key.txt makes a secret key; the line that begins with age1 is its public key", "recipients encrypt, identities decrypt: keep identities away from where backups are taken"},
		},
		{
			Code: string(CodeNoBackup), Title: "there is no such backup",
			Cause:  "Nothing in the repository begins with the ID that was typed, more than one thing does, or the repository has no backup that fits.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"list the backups", "type more digits of the ID"},
		},
		{
			Code: string(CodeWhichCluster), Title: "backups of several clusters lie in the repository",
			Cause:  "A cluster that was rebuilt or restored has another cluster ID than before, and its backups lie beside those of the old one; or two clusters are backed up to one place. Without an ID the cluster that the endpoints lead to is meant. It could not be asked, or has no backup here.",
			Danger: "None: nothing was tried. Which backup is right is not guessed: the newest may be of a cluster that was only tried out.",
			Fix: []string{
				"type one of the commands that the error shows: --cluster names the cluster",
				"for timers and machines that do not reach the cluster: ETCDOPS_BACKUP_CLUSTER=ID in their environment (/etc/default/etcdops)",
				"name a backup by its ID: etcdops backup list",
			},
		},
		{
			Code: string(CodeSpool), Title: "no space for the database on its way",
			Cause:  "A backup is written to this machine first, at full speed, and verified there; the place for that is full or cannot be written.",
			Danger: "The backup under way is not taken. Backups that were there before are not touched.",
			Fix: []string{
				"df -h shows the space", "--spool DIR names another place: it needs the size of the database and what it compresses to",
				"inside etcdops serve --backup-spool DIR does; it needs three times the database, and 512 MiB that are left to the member",
			},
		},
	}
}

func explainData() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeDamaged), Title: "an object of the backup repository is damaged",
			Cause:  "Its bytes are not those that were written: the error names the object.",
			Danger: "The backup that it belongs to cannot be trusted.",
			Fix:    []string{"verify all backups, to find every damaged object", "take a new backup now", "look for the cause: disk, memory, a sync tool that wrote into the repository"},
		},
		{
			Code: string(CodeLiveDiffers), Title: "the snapshot is not what the member serves",
			Cause:  "The hash of the keys in the snapshot and the member's own hash at the same revision and compaction differ.",
			Danger: "The member's database or its memory is damaged, or this machine's memory: no backup was made of it.",
			Fix:    []string{"etcdops health", "take the backup from another member: --member NAME", "compare the members: etcdops endpoint hashkv --cluster"},
		},
		{
			Code: string(CodeNotSound), Title: "the database that came is damaged",
			Cause:  "It has the hash that the member sent, and is no sound database: the member's own file is damaged.",
			Danger: "The member may crash or serve wrong data. No backup was made of it.",
			Fix:    []string{"take the backup from another member now: --member NAME", "etcdops health", "replace the member whose database is damaged"},
		},
		{
			Code: string(CodeNoSource), Title: "no member to take a backup from",
			Cause:  "No member answers that may be asked for a snapshot, or the one that was named does not.",
			Danger: "No backup was taken.",
			Fix:    []string{"etcdops health", "--member NAME takes it from that member, whatever its state"},
		},
		{
			Code: string(CodeRestore), Title: "a data directory could not be written",
			Cause:  "The disk is full, a permission is missing, or the settings of the new cluster contradict each other; the error says which.",
			Danger: "None: the directory appears under its name when it is complete, and not before.",
			Fix:    []string{"mend what the error names and run the command again"},
		},
		{
			Code: string(CodeDrillFailed), Title: "a restored backup does not serve what it should",
			Cause:  "A member was started on a restored backup, away from the cluster, and did not come up, or holds something else than the backup says.",
			Danger: "The backup may be of no use. Nothing in the cluster was touched.",
			Fix:    []string{"drill another backup", "take a new backup and drill it", "the log of the member is named in the error"},
		},
	}
}
