package cmd

import (
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// codeUsage is the code of words on the command line that cannot be understood.
const codeUsage ops.Code = "ETO-2001"

// codeGenerated is the code of files that generate leaves as they are.
const codeGenerated ops.Code = "ETO-4195"

// codeFacts is the code of files that hold no facts.
const codeFacts ops.Code = "ETO-2030"

// cmdExplanations explains the codes of the command line itself and of its questions.
func cmdExplanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(codeUsage), Title: "the command line cannot be understood",
			Cause:  "A command, flag or argument does not exist, is misspelled, or is missing.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"the same command with --help shows what it takes"},
		},
		{
			Code: string(codeFacts), Title: "the file holds no facts about a cluster",
			Cause:  "--from or --since name a file that cannot be read, or that etcdops health --record did not write.",
			Danger: "None: nothing was asked.",
			Fix:    []string{"write one: etcdops health --record FILE"},
		},
		{
			Code: string(codeGenerated), Title: "a file that was to be generated is there and differs",
			Cause:  "Somebody changed it, or it was generated with other settings.",
			Danger: "None: no file was written.",
			Fix:    []string{"without a directory the command prints what it would write: compare", "etcdops generate systemd --overwrite DIRECTORY replaces it"},
		},
		{
			Code: string(codeFormat), Title: "the command does not print the format asked for",
			Cause:  "-w, -o, ETCDOPS_WRITE_OUT or ETCDCTL_WRITE_OUT name a format that this command does not have.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"choose one of those that the error lists", "unset ETCDCTL_WRITE_OUT if it was not meant for this command"},
		},
		{
			Code: string(codeNoServerName), Title: "the command cannot verify a certificate against another name",
			Cause:  "Commands that run etcdctl's own code verify the servers' certificates against the endpoints' hosts only.",
			Danger: "None: nothing was tried.",
			Fix:    []string{"name the endpoints as their certificates do", "drop --tls-server-name"},
		},
		{
			Code: string(ui.CodeNotConfirmed), Title: "not confirmed",
			Cause:  "The word that was asked for was not typed.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"read what the question says will happen, and type the word if you want it", "--yes answers beforehand, in scripts"},
		},
		{
			Code: string(ui.CodeCannotAsk), Title: "no terminal to ask for confirmation on",
			Cause:  "The command would change something that cannot be brought back, and runs in a script or a pipe.",
			Danger: "None: nothing was changed.",
			Fix:    []string{"--dry-run shows what would be done", "--yes does it without asking"},
		},
	}
}
