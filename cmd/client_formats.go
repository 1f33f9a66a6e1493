package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/ops"
)

// Codes of the client commands.
const (
	codeFormat       ops.Code = "ETO-2020" // the command does not print the format asked for
	codeNoServerName ops.Code = "ETO-2021" // the command cannot verify a certificate against --tls-server-name
)

// upstreamFormat is the format that a command of upstream's is to print. One that it does not know is refused before
// anything is done; upstream's code would do its work, and then fail to print the answer.
func (a *app) upstreamFormat(cmd *cobra.Command) (string, error) {
	format := a.out
	if format == "" {
		format = outputVariable("write-out")
	}
	if format == "" {
		return "simple", nil
	}
	known := upstreamFormats(commandPath(cmd))
	if !slices.Contains(known, format) {
		return "", &ops.HintError{
			Code: codeFormat, Class: ops.ClassUsage, Op: cmd.CommandPath(),
			Err:  fmt.Errorf("there is no output format %q here", format),
			Hint: "choose one with -w: " + strings.Join(known, ", "),
		}
	}
	return format, nil
}

// upstreamFormats lists the formats that upstream's code prints the answer of a command in.
func upstreamFormats(path string) []string {
	formats := []string{"simple", "json"}
	group, _, _ := strings.Cut(path, " ")
	switch {
	case group == "downgrade":
	case path == "user get", path == "user list", path == "auth status":
	default:
		formats = append(formats, "fields")
	}
	if group != "endpoint" && group != "lease" {
		formats = append(formats, "protobuf")
	}
	if group == "endpoint" || path == "member list" || path == "snapshot status" {
		formats = append(formats, "table")
	}
	return formats
}
