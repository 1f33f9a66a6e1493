package cmd

import "github.com/spf13/cobra"

// annotationExitCodes names the annotation of a command whose exit codes are not etcdops' own.
const annotationExitCodes = "exit-codes"

// exitCodesHelp stands in every help page; docs/exit-codes.md says the same at length.
const exitCodesHelp = `Exit codes: 0 ok, 1 failure, 2 usage, 3 checked and found critical, 4 refused by a safety guard (nothing changed),
5 no quorum or unreachable, 6 stopped half-way and resumable, 130 interrupted.`

// addExitCodes ends every help page below root with the exit codes.
func addExitCodes(root *cobra.Command) {
	root.SetHelpTemplate(root.HelpTemplate() + `
{{with index .Annotations "` + annotationExitCodes + `"}}{{.}}{{else}}` + exitCodesHelp + `{{end}}
`)
}
