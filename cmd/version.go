package cmd

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
)

// Stamped by the linker (-X github.com/etcdops/etcdops/cmd.version=...); what is not stamped is read from the build's
// own record.
var (
	version = ""
	commit  = "" //nolint:gochecknoglobals // the linker can only stamp a variable
	date    = "" //nolint:gochecknoglobals // the linker can only stamp a variable
)

// versionJSON is schema etcdops.version/v1.
type versionJSON struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Etcd    string `json:"etcd"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func newVersionCmd(a *app) *cobra.Command {
	var skew skewOptions
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Version of etcdops, and of the etcd inside it",
		Long: `Prints the version of this program and of the etcd inside it, and connects to nothing. With --check-skew it asks all
members for theirs and says whether they may run side by side:

  SERVER   the program that the member runs
  CLUSTER  what the members have agreed on; it goes up when the last of them has been upgraded
  STORAGE  the form of the database file, which an older program may not be able to read (told since 3.6)

etcd supports members one minor version apart, for as long as an upgrade takes. Its judgement is that of the check
version.skew of etcdops health; other checks of versions are told, and change nothing in the exit code.

Formats (-w): table, json and yaml (schemas etcdops.version/v1 and etcdops.version_skew/v1).

Exit codes of --check-skew: 0 no skew, or one that is supported; 3 one that is not, or the version of a member or behind
an endpoint that was named is not known, or any skew with --fail-on warn; 5 no member answers; 2 usage; 130 interrupted.`,
		Example: `  etcdops version
  etcdops version --check-skew`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if skew.wanted {
				return a.runSkew(cmd, skew)
			}
			if cmd.Flags().Changed("fail-on") || cmd.Flags().Changed("member-timeout") {
				return usageError(cmd, errors.New("--fail-on and --member-timeout belong to --check-skew"))
			}
			v := readVersion()
			return a.print(cmd, v, func() error {
				_, err := fmt.Fprintf(a.io.Out, "etcdops %s (etcd %s)\ncommit  %s\nbuilt   %s\ngo      %s %s/%s\n",
					v.Version, v.Etcd, v.Commit, v.Date, v.Go, v.OS, v.Arch)
				return err
			})
		},
	}
	skew.addFlags(cmd.Flags())
	return cmd
}

// readVersion prefers the linker's stamps to the build record.
func readVersion() versionJSON {
	v := versionJSON{
		Schema: "etcdops.version/v1", Version: version, Commit: commit, Date: date,
		Etcd: etcdversion.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && v.Commit == "":
			v.Commit = s.Value
		case s.Key == "vcs.time" && v.Date == "":
			v.Date = s.Value
		}
	}
	for _, field := range []*string{&v.Version, &v.Commit, &v.Date} {
		if *field == "" || *field == "(devel)" {
			*field = "unknown"
		}
	}
	return v
}
