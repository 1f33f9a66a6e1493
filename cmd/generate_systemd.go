package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/deploy"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// unitDir is where units of this machine's owner lie.
const unitDir = "/etc/systemd/system"

// systemdOptions are the settings of the units.
type systemdOptions struct {
	units  deploy.Units
	runAs  string
	jitter time.Duration
	policy backup.Policy
	force  bool
}

func newGenerateSystemdCmd(a *app) *cobra.Command {
	var o systemdOptions
	cmd := &cobra.Command{
		Use:   "systemd [DIRECTORY]",
		Short: "Print a systemd service and timer that take backups",
		Long: `Prints a service and a timer that take backups at the times of --cron, hardened as those of the packages. With a directory they
are written there instead: ` + unitDir + ` to use them. Files that are there and differ stay, unless --force is given.

Certificates, keys and passphrases named here are handed to the service by systemd (LoadCredential, systemd 247 or later): the
service needs no right to read them. What is not named here comes from the environment file, as in the packages. A run that
was missed while the machine was off is made up for, once.`,
		Example: `  etcdops generate systemd --repo s3://etcd-backups/prod --cron '0 */6 * * *'
  etcdops generate systemd --run-as dynamic --endpoints https://127.0.0.1:2379 \
    --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt \
    --key /etc/kubernetes/pki/etcd/healthcheck-client.key --repo s3://etcd-backups/prod --keep-daily 14 ` + unitDir,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runGenerateSystemd(cmd, args, &o) },
	}
	fs := cmd.Flags()
	fs.StringVar(&o.units.Name, "name", "etcdops-backup", "name of the units")
	fs.StringVar(&o.units.Cron, "cron", deploy.DefaultCron, "when to take backups: five fields, or @hourly, @daily, @weekly, @monthly")
	fs.StringVar(&o.units.Zone, "time-zone", "UTC", "time zone of --cron, as in Europe/Berlin")
	fs.DurationVar(&o.jitter, "jitter", 10*time.Minute, "delay each backup by up to so much, always the same on one machine")
	fs.StringVar(&o.units.Repo, "repo", "", "repository: a directory, s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX (default as the environment file says)")
	fs.StringVar(&o.units.Recipients, "recipients-file", "", "file of age recipients (public keys) to encrypt for")
	fs.StringVar(&o.units.Passphrase, "passphrase-file", "", "file whose first line is a passphrase to encrypt with")
	fs.StringVar(&o.units.Rate, "rate", "", "read at most so many bytes a second, as in 50MB")
	fs.StringVar(&o.runAs, "run-as", "etcdops", "USER or USER:GROUP that the service runs as; dynamic for one that systemd makes for it")
	fs.StringVar(&o.units.Environment, "environment-file", "/etc/default/etcdops", "file of variables for the service; it need not be there")
	fs.StringVar(&o.units.Program, "program", "/usr/bin/etcdops", "where etcdops is installed")
	fs.StringVar(&o.units.Metrics, "metrics-file", "", "file for node_exporter's textfile collector, written after each run (NAME.prom)")
	fs.StringVar(&o.units.OnFailure, "on-failure", "", "unit to start when a backup fails")
	addPolicyFlags(fs, &o.policy)
	fs.BoolVar(&o.force, "overwrite", false, "write over units that are there and differ")
	return cmd
}

func (a *app) runGenerateSystemd(cmd *cobra.Command, args []string, o *systemdOptions) error {
	u := o.units
	u.User, u.Group, _ = strings.Cut(o.runAs, ":")
	u.Jitter = fmt.Sprintf("%ds", int(o.jitter.Seconds()))
	u.Endpoints, u.Certificates = a.typedConnection(cmd)
	u.Keep = typedPolicy(cmd.Flags())
	service, timer, err := deploy.Systemd(u)
	if err != nil {
		return usageError(cmd, err)
	}
	files := []generated{{u.Name + ".service", service}, {u.Name + ".timer", timer}}
	if len(args) == 0 {
		for i, f := range files {
			if i > 0 {
				fmt.Fprintln(a.io.Out)
			}
			fmt.Fprintf(a.io.Out, "# %s/%s\n%s", unitDir, f.name, f.text)
		}
		return nil
	}
	if err := writeGenerated(args[0], files, o.force); err != nil {
		return err
	}
	fmt.Fprintf(a.io.Out, "%s and %s are in %s\n", files[0].name, files[1].name, ui.Safe(args[0]))
	fmt.Fprintf(a.io.Out, "next  systemctl daemon-reload && systemctl enable --now %s.timer\n", u.Name)
	fmt.Fprintf(a.io.Out, "try   systemctl start %s.service && journalctl -u %s.service\n", u.Name, u.Name)
	return nil
}

// typedConnection is what was said of the connection on the command line: a unit has no use for what this shell found.
func (a *app) typedConnection(cmd *cobra.Command) (endpoints []string, files deploy.Certificates) {
	if cmd.Flags().Changed("endpoints") {
		endpoints = a.conn.endpoints
	}
	return endpoints, deploy.Certificates{CA: a.conn.caCert, Cert: a.conn.cert, Key: a.conn.key}
}

// typedPolicy are the rules of retention that were typed, as flags.
func typedPolicy(fs *pflag.FlagSet) []string {
	var policy backup.Policy
	var rules []string
	known := pflag.NewFlagSet("", pflag.ContinueOnError)
	addPolicyFlags(known, &policy)
	known.VisitAll(func(f *pflag.Flag) {
		if fs.Changed(f.Name) {
			rules = append(rules, "--"+f.Name+"="+fs.Lookup(f.Name).Value.String())
		}
	})
	return rules
}

// generated is a file to write.
type generated struct{ name, text string }

// writeGenerated writes files into a directory, each whole or not at all. What is there and differs is left, and none is
// written, unless overwrite says so.
func writeGenerated(dir string, files []generated, overwrite bool) error {
	fail := func(file string, err error, hint string) error {
		return &ops.HintError{Op: "write", Member: file, Err: err, Hint: hint}
	}
	for _, f := range files {
		file := filepath.Join(dir, f.name)
		text, err := os.ReadFile(file)
		if err == nil && !bytes.Equal(text, []byte(f.text)) && !overwrite {
			return &ops.HintError{
				Code: codeGenerated, Class: ops.ClassRefused, Op: "write", Member: file, Err: errors.New("it is there and differs"),
				Hint: "etcdops generate systemd prints what would be written; --overwrite replaces it",
			}
		}
	}
	for _, f := range files {
		file := filepath.Join(dir, f.name)
		if err := writeWhole(file, []byte(f.text), 0o644); err != nil {
			return fail(file, err, "name a directory that is there and that you may write to")
		}
	}
	return nil
}

// writeWhole puts a file in its place whole: nobody ever reads half of it.
func writeWhole(path string, text []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".etcdops-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
