package cmd

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

func newGenerateManCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write a manual page for each command",
		Long: `Writes a manual page for each command (section 1) into a directory, which is made if it is not there. The date on the pages
is that of this build, or $SOURCE_DATE_EPOCH.`,
		Example: "  etcdops generate man /usr/local/share/man/man1 && man etcdops-health",
		Args:    exactArgs("the directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			pages, err := writeManual(args[0])
			if err != nil {
				return &ops.HintError{Op: "write the manual", Member: args[0], Err: err, Hint: "name a directory that you may write to"}
			}
			_, err = fmt.Fprintf(a.io.Out, "%d pages in %s\n", pages, ui.Safe(args[0]))
			return err
		},
	}
}

// writeManual writes a page a command and counts them.
func writeManual(dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	return manual{dir: dir, day: manualDate(), version: readVersion().Version}.writeTree(Tree())
}

// manualDate is the day on the pages: two builds of one commit write the same.
func manualDate() time.Time {
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC()
	}
	if day, err := time.Parse(time.RFC3339, readVersion().Date); err == nil {
		return day.UTC()
	}
	return time.Unix(0, 0).UTC()
}
