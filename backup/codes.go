package backup

import "github.com/etcdops/etcdops/ops"

// Codes of backups. 41xx are refusals: nothing was changed.
const (
	CodeNewerFormat  ops.Code = "ETO-4150" // the repository is of a later version
	CodeForeignPlace ops.Code = "ETO-4151" // the place holds something else
	CodeWrongKey     ops.Code = "ETO-4152" // the backup is encrypted for another key
	CodeTargetExists ops.Code = "ETO-4153" // a restore would write over something
	CodeBusy         ops.Code = "ETO-4154" // another run of this machine is at it
	CodePruneRefused ops.Code = "ETO-4158" // the policy must not be applied
	CodeSlotTaken    ops.Code = "ETO-4159" // the slot of a schedule has its backup

	CodeNoRepository ops.Code = "ETO-6050" // there is no repository
	CodeStore        ops.Code = "ETO-6051" // the store failed
	CodeDamaged      ops.Code = "ETO-6052" // an object is not what was written
	CodeKeyFile      ops.Code = "ETO-6053" // a key file cannot be used
	CodeLiveDiffers  ops.Code = "ETO-6054" // the snapshot is not what the member serves
	CodeNotSound     ops.Code = "ETO-6055" // the database that came is damaged
	CodeNoBackup     ops.Code = "ETO-6056" // no backup of that name
	CodeSpool        ops.Code = "ETO-6057" // no space for the database on its way
	CodeNoSource     ops.Code = "ETO-6058" // no member to take a backup from
	CodeRestore      ops.Code = "ETO-6059" // a data directory could not be written
	CodeBadPlace     ops.Code = "ETO-6061" // the URL of a repository cannot be understood
	CodeDrillFailed  ops.Code = "ETO-6060" // a restored backup does not serve what it should
	CodeWhichCluster ops.Code = "ETO-6062" // backups of several clusters, and nothing says whose is meant
)
