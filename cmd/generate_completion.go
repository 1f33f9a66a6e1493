package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that completion is written for, in the order of the help page.
func shells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

func newGenerateCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what makes a shell complete etcdops' commands and flags",
		Long: `Prints a script for bash, zsh, fish or powershell. It asks the program itself for each completion, so that it need not be
written again after an upgrade. The command completion prints the same.`,
		Example: `  etcdops generate completion bash > /usr/share/bash-completion/completions/etcdops
  etcdops generate completion zsh > "${fpath[1]}/_etcdops"
  etcdops generate completion fish > ~/.config/fish/completions/etcdops.fish`,
		ValidArgs: shells(),
		Args:      exactArgs("the shell (" + strings.Join(shells(), ", ") + ")"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := writeCompletion(cmd.Root(), args[0], a.io.Out); err != nil {
				return usageError(cmd, err)
			}
			return nil
		},
	}
}

// writeCompletion writes the script of one shell. The only error is a shell that is not known: whether the output could
// be written is told at the end of the program.
func writeCompletion(root *cobra.Command, shell string, out io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(out, true)
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("there is no completion for %q; choose one of %s", shell, strings.Join(shells(), ", "))
}
