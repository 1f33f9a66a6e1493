package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestManualPage(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "Mend things"}
	cmd := &cobra.Command{
		Use: "mend THING", Short: "Mend a thing", Example: "  tool mend --hard 'a\\b'\n.profile", Run: func(*cobra.Command, []string) {},
		Long: "Mends what is broken.\n.hidden files too.\n\n  tool mend a-b\n  tool mend c\nand so on\n",
	}
	cmd.Flags().BoolP("hard", "H", false, "with a hammer-blow")
	cmd.Flags().String("tool", "saw", "the tool")
	cmd.Flags().String("secret", "", "not shown")
	_ = cmd.Flags().MarkHidden("secret")
	root.AddCommand(cmd)
	var page strings.Builder
	manual{day: time.Unix(0, 0).UTC(), version: "v1"}.page(&page, cmd)
	want := `.nh
.TH "TOOL-MEND" "1" "1970-01-01" "etcdops v1" "etcdops"
.SH NAME
tool\-mend \- Mend a thing
.SH SYNOPSIS
\fBtool mend THING [flags]\fP
.SH DESCRIPTION
Mends what is broken.
\&.hidden files too.
.PP
.nf
  tool mend a\-b
  tool mend c
.fi
and so on
.SH OPTIONS
.TP
\fB\-H\fP, \fB\-\-hard\fP[=false]
with a hammer\-blow
.TP
\fB\-h\fP, \fB\-\-help\fP[=false]
help for mend
.TP
\fB\-\-tool\fP="saw"
the tool
.SH EXAMPLE
.nf
  tool mend \-\-hard 'a\eb'
\&.profile
.fi
.SH SEE ALSO
.BR tool (1)
`
	if page.String() != want {
		t.Errorf("the page is\n%s\nwant\n%s", &page, want)
	}
}
