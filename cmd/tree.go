package cmd

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/ui"
)

// Tree returns the whole tree of commands for generators of documentation and completion. Its commands read nothing
// and write nowhere.
func Tree() *cobra.Command {
	return newRoot(&app{io: &ui.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}})
}
