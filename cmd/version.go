package cmd

import (
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
	return &cobra.Command{
		Use:   "version",
		Short: "Version of etcdops, and of the etcd inside it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := readVersion()
			return a.print(cmd, v, func() error {
				_, err := fmt.Fprintf(a.io.Out, "etcdops %s (etcd %s)\ncommit  %s\nbuilt   %s\ngo      %s %s/%s\n",
					v.Version, v.Etcd, v.Commit, v.Date, v.Go, v.OS, v.Arch)
				return err
			})
		},
	}
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
