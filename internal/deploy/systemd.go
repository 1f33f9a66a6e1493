// Package deploy writes what lets other programs run etcdops: units of systemd and manifests of Kubernetes. It is pure: text
// out of settings.
package deploy

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/etcdops/etcdops/packaging"
)

// Certificates are the files that a client of the cluster needs, as absolute paths; empty for those that it does not.
type Certificates struct{ CA, Cert, Key string }

// Units are the settings of a service that takes backups and of its timer. The zero value of a field means the default
// beside it.
type Units struct {
	Name        string   // of the units, without .service; default etcdops-backup
	Program     string   // default /usr/bin/etcdops
	User, Group string   // default etcdops; the user "dynamic" is one that systemd makes for the run
	Environment string   // file of variables; default /etc/default/etcdops
	Repo        string   // repository; default as the variables say, else a directory of the service's own
	Endpoints   []string // default as the variables say
	Certificates
	Recipients string   // file of age recipients
	Passphrase string   // file of a passphrase
	Rate       string   // bytes a second, as the flag of backup create takes it
	Keep       []string // flags of backup prune that name rules; none: nothing is removed
	Metrics    string   // file for node_exporter's textfile collector
	OnFailure  string   // unit that is started when a backup fails
	Cron, Zone string   // when; default every six hours, UTC
	Jitter     string   // longest delay, as systemd writes it; default 10min
}

// Dynamic is the user that systemd makes for each run.
const Dynamic = "dynamic"

// packagedUser is the account of the packages' units. Their state directory is the data directory of serve: units that run as
// somebody else must not have it, because systemd gives a state directory to the user of the unit.
const packagedUser = "etcdops"

func (u *Units) defaults() {
	for field, value := range map[*string]string{
		&u.Name: "etcdops-backup", &u.Program: "/usr/bin/etcdops", &u.User: packagedUser, &u.Environment: "/etc/default/etcdops",
		&u.Cron: DefaultCron, &u.Jitter: "10min",
	} {
		if *field == "" {
			*field = value
		}
	}
	if u.Group == "" {
		u.Group = u.User
	}
}

// check refuses what a unit cannot say.
func (u *Units) check() error {
	files := map[string]string{
		"program": u.Program, "environment file": u.Environment, "CA": u.CA, "certificate": u.Cert, "key": u.Key,
		"recipients": u.Recipients, "passphrase": u.Passphrase, "metrics": u.Metrics,
	}
	for what, file := range files {
		if file != "" && !path.IsAbs(file) {
			return fmt.Errorf("%s: %q: units need absolute paths", what, file)
		}
		if strings.ContainsAny(file, ":") {
			return fmt.Errorf("%s: %q: units allow no colon in a path", what, file)
		}
	}
	if dir := u.directory(); dir != "" && !path.IsAbs(dir) {
		return fmt.Errorf("repository: %q: units need absolute paths", dir)
	}
	words := append([]string{u.Name, u.User, u.Group, u.Repo, u.Rate, u.OnFailure, u.Jitter}, u.Endpoints...)
	for _, word := range append(words, u.Program, u.Environment, u.CA, u.Cert, u.Key, u.Recipients, u.Passphrase, u.Metrics) {
		if strings.ContainsFunc(word, unicode.IsControl) {
			return fmt.Errorf("%q has a control character", word)
		}
	}
	for _, name := range []string{u.Name, u.User, u.Group, u.OnFailure} {
		if strings.ContainsAny(name, " /\\\"'%$") {
			return fmt.Errorf("%q is no name of a unit or a user", name)
		}
	}
	if u.Recipients != "" && u.Passphrase != "" {
		return errors.New("recipients and a passphrase exclude each other")
	}
	return nil
}

// directory is the repository where it is a directory of this machine.
func (u *Units) directory() string {
	dir, isFile := strings.CutPrefix(u.Repo, "file://")
	if !isFile && strings.Contains(u.Repo, "://") {
		return ""
	}
	return dir
}

// Systemd writes the service and its timer: those of the packages, with other settings.
func Systemd(u Units) (service, timer string, err error) {
	u.defaults()
	if err := u.check(); err != nil {
		return "", "", err
	}
	calendar, err := Calendar(u.Cron, u.Zone)
	if err != nil {
		return "", "", err
	}
	return u.service(), u.timer(calendar), nil
}

func (u *Units) service() string {
	s := unit(packaging.BackupService)
	s.set("EnvironmentFile", "-"+escapeSpecifiers(u.Environment))
	var run []string
	for _, c := range u.credentials() {
		run = append(run, "LoadCredential="+c.name+":"+escapeSpecifiers(c.file))
	}
	run = append(run, "ExecStart="+u.command("backup", "create", "--quiet")+u.createFlags())
	if len(u.Keep) > 0 {
		run = append(run, "ExecStart="+u.command(append([]string{"backup", "prune", "--quiet", "--yes"}, u.Keep...)...)+u.repoFlag())
	}
	if u.Metrics != "" {
		run = append(run, "# Also after a failure: the age of the newest backup is what an alert looks at.",
			"ExecStopPost=-"+u.command("backup", "status", "--quiet", "--metrics-file", u.Metrics)+u.repoFlag())
	}
	s.replace("ExecStart=", run...)
	u.account(&s)
	var paths []string
	if dir := u.directory(); dir != "" && !strings.HasPrefix(dir, u.state()+"/") {
		s.insertAfter("After=", "RequiresMountsFor="+quoteSetting(dir))
		paths = append(paths, quoteSetting("-"+dir))
	}
	if u.Metrics != "" {
		paths = append(paths, quoteSetting("-"+path.Dir(u.Metrics)))
	}
	if len(paths) > 0 {
		s.insertAfter("ProtectSystem=", "ReadWritePaths="+strings.Join(paths, " ")) // where one is missing, the command says so
	}
	if u.OnFailure != "" {
		s.insertAfter("After=", "OnFailure="+u.OnFailure)
	}
	return string(s)
}

// state is where the unit keeps what is its own.
func (u *Units) state() string {
	if u.User == packagedUser {
		return "/var/lib/etcdops"
	}
	return "/var/lib/" + u.Name
}

// account says who the service runs as, and where it keeps its own.
func (u *Units) account(s *unit) {
	if u.User == packagedUser && u.Group == packagedUser {
		return
	}
	if u.User == Dynamic {
		s.replace("User=", "DynamicUser=yes")
		s.replace("Group=")
	} else {
		s.set("User", u.User)
		s.set("Group", u.Group)
	}
	if u.User != packagedUser {
		s.set("StateDirectory", u.Name)
		s.replace("Environment=XDG_STATE_HOME=", "Environment=XDG_STATE_HOME="+u.state())
		s.replace("# Without a repository", "# Without a repository named there, backups are kept in "+u.state()+"/etcdops/backups.")
	}
}

// credential is a file that systemd reads as root and hands to the service alone.
type credential struct{ flag, name, file string }

// credentials are the files that the service needs and whose owner may be another.
func (u *Units) credentials() []credential {
	var out []credential
	for _, c := range []credential{
		{"--cacert", "ca.crt", u.CA},
		{"--cert", "client.crt", u.Cert},
		{"--key", "client.key", u.Key},
		{"--recipients-file", "recipients", u.Recipients},
		{"--passphrase-file", "passphrase", u.Passphrase},
	} {
		if c.file != "" {
			out = append(out, c)
		}
	}
	return out
}

// createFlags are the flags of backup create.
func (u *Units) createFlags() string {
	var flags strings.Builder
	flags.WriteString(u.repoFlag())
	if len(u.Endpoints) > 0 {
		flags.WriteString(" --endpoints " + quote(strings.Join(u.Endpoints, ",")))
	}
	for _, c := range u.credentials() {
		flags.WriteString(" " + c.flag + " ${CREDENTIALS_DIRECTORY}/" + c.name)
	}
	if u.Rate != "" {
		flags.WriteString(" --rate " + quote(u.Rate))
	}
	return flags.String()
}

func (u *Units) repoFlag() string {
	if u.Repo == "" {
		return ""
	}
	return " --repo " + quote(u.Repo)
}

// command is the program with arguments.
func (u *Units) command(args ...string) string {
	words := []string{quote(u.Program)}
	for _, arg := range args {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ")
}

func (u *Units) timer(calendar string) string {
	t := unit(packaging.BackupTimer)
	t.set("OnCalendar", calendar)
	t.set("RandomizedDelaySec", u.Jitter)
	t.set("Description", "Backups of the etcd cluster, at the times of '"+escapeSpecifiers(u.Cron)+"'")
	if u.Name != "etcdops-backup" {
		t.insertAfter("[Timer]", "Unit="+u.Name+".service")
	}
	return string(t)
}

// escapeSpecifiers keeps systemd from replacing what follows a percent sign.
func escapeSpecifiers(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// quote writes a word of a command line as systemd reads it.
func quote(word string) string { return quoteSetting(strings.ReplaceAll(word, "$", "$$")) }

// quoteSetting writes a word of another setting.
func quoteSetting(word string) string {
	text := strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`).Replace(word)
	if text == "" || strings.ContainsAny(text, " \t'\";\\") {
		return `"` + text + `"`
	}
	return text
}

// unit is the text of a unit that is changed line by line.
type unit string

// set gives a directive that the unit has once another value.
func (u *unit) set(key, value string) { u.replace(key+"=", key+"="+value) }

// replace puts lines in the place of the one that begins with prefix; none: it goes.
func (u *unit) replace(prefix string, lines ...string) { u.edit(prefix, false, lines) }

// insertAfter puts lines after the one that begins with prefix.
func (u *unit) insertAfter(prefix string, lines ...string) { u.edit(prefix, true, lines) }

func (u *unit) edit(prefix string, keep bool, lines []string) {
	var out []string
	for line := range strings.SplitSeq(string(*u), "\n") {
		if !strings.HasPrefix(line, prefix) {
			out = append(out, line)
			continue
		}
		if keep {
			out = append(out, line)
		}
		out = append(out, lines...)
	}
	*u = unit(strings.Join(out, "\n"))
}
