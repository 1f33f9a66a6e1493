package archive

import "github.com/etcdops/etcdops/ops"

// Codes of archives.
const (
	CodeOtherCluster ops.Code = "ETO-4170" // the endpoints belong to another cluster than before
	CodeSpool        ops.Code = "ETO-6080" // the local place for segments cannot be used
)

// Explanations returns one explanation for each code of this package, in the order of the codes.
func Explanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeOtherCluster), Title: "the endpoints lead to more than one cluster",
			Cause:  "An endpoint answered with the ID of another cluster than the one that is being archived.",
			Danger: "None: changes of two clusters were not mixed. Nothing is archived until it is mended.",
			Fix:    []string{"name the endpoints of one cluster only", "one etcdops backup archive for each cluster; they may share a repository"},
		},
		{
			Code: string(CodeSpool), Title: "the archive's place on the local disk cannot be used",
			Cause:  "The directory in which segments wait for the store is full, not writable, or used by another archiver.",
			Danger: "Nothing is archived meanwhile: changes that the cluster compacts before it is mended are lost for point-in-time recovery.",
			Fix:    []string{"free space, or name another place with --spool-dir", "etcdops backup status tells how far the archive is behind"},
		},
	}
}
