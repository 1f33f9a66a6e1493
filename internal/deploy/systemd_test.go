package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/deploy"
	"github.com/etcdops/etcdops/packaging"
)

// all is a unit with every setting.
func all() deploy.Units {
	return deploy.Units{
		Name: "etcd-backup-prod", User: deploy.Dynamic, Repo: "/mnt/back ups/100%", Endpoints: []string{"https://a:2379", "https://b:2379"},
		Certificates: deploy.KubeadmCertificates(), Recipients: "/etc/etcdops/backup.recipients", Rate: "50MB",
		Keep: []string{"--keep-hourly=24", "--keep-daily=14"}, Metrics: "/var/lib/node_exporter/etcdops.prom", OnFailure: "mail.service",
		Cron: "30 3 * * 1-5", Zone: "Europe/Berlin", Jitter: "60s",
	}
}

func TestUnitsWithoutSettingsAreThePackages(t *testing.T) {
	t.Parallel()
	service, timer, err := deploy.Systemd(deploy.Units{})
	if err != nil {
		t.Fatal(err)
	}
	if service != packaging.BackupService {
		t.Errorf("the service is\n%s", service)
	}
	for line := range strings.SplitSeq(packaging.BackupTimer, "\n") {
		if !strings.HasPrefix(line, "OnCalendar=") && !strings.HasPrefix(line, "Description=") && !strings.Contains(timer, line) {
			t.Errorf("the timer has no line %q", line)
		}
	}
}

func TestUnitsSayWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	service, timer, err := deploy.Systemd(all())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"OnFailure=mail.service", `RequiresMountsFor="/mnt/back ups/100%%"`, "DynamicUser=yes", "StateDirectory=etcd-backup-prod",
		"LoadCredential=client.key:/etc/kubernetes/pki/etcd/healthcheck-client.key",
		`ExecStart=/usr/bin/etcdops backup create --quiet --repo "/mnt/back ups/100%%" --endpoints https://a:2379,https://b:2379` +
			" --cacert ${CREDENTIALS_DIRECTORY}/ca.crt --cert ${CREDENTIALS_DIRECTORY}/client.crt --key ${CREDENTIALS_DIRECTORY}/client.key" +
			" --recipients-file ${CREDENTIALS_DIRECTORY}/recipients --rate 50MB",
		`ExecStart=/usr/bin/etcdops backup prune --quiet --yes --keep-hourly=24 --keep-daily=14 --repo "/mnt/back ups/100%%"`,
		`ReadWritePaths="-/mnt/back ups/100%%" -/var/lib/node_exporter`,
	} {
		if !strings.Contains(service, "\n"+line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, service)
		}
	}
	for _, line := range []string{"OnCalendar=Mon..Fri *-*-* 03:30:00 Europe/Berlin", "RandomizedDelaySec=60s", "Unit=etcd-backup-prod.service", "Persistent=yes"} {
		if !strings.Contains(timer, "\n"+line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, timer)
		}
	}
	if strings.Contains(service, "User=etcdops") || strings.Contains(service, "StateDirectory=etcdops\n") {
		t.Errorf("another account than that of serve must not have its directory:\n%s", service)
	}
}

func TestUnitsRefuse(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]deploy.Units{
		"a line break":           {Repo: "/a\nExecStart=/bin/sh"},
		"a relative repository":  {Repo: "backups"},
		"a relative certificate": {Certificates: deploy.Certificates{CA: "ca.crt"}},
		"a name with a slash":    {Name: "../../x"},
		"two ways to encrypt":    {Recipients: "/a", Passphrase: "/b"},
		"a rhythm":               {Cron: "@every 6h"},
		"a specifier":            {OnFailure: "mail@%n.service"},
	} {
		if _, _, err := deploy.Systemd(u); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestSystemdTakesTheUnits has systemd read the units, and compute how exposed the service is.
func TestSystemdTakesTheUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not here")
	}
	asRoot := all()
	asRoot.User, asRoot.Passphrase, asRoot.Recipients = "root", "/etc/etcdops/phrase", ""
	for name, u := range map[string]deploy.Units{"all": all(), "root": asRoot, "packages": {Name: "etcdops-backup"}} {
		service, timer, err := deploy.Systemd(u)
		if err != nil {
			t.Fatal(err)
		}
		// systemd looks whether the program can be run; what it needs of a system is in this root.
		root := t.TempDir()
		units := filepath.Join(root, "etc/systemd/system")
		files := map[string]string{
			"usr/bin/etcdops": "#!/bin/sh\n", "etc/passwd": "root:x:0:0::/:/bin/sh\netcdops:x:99:99::/:/bin/sh\n", "etc/group": "root:x:0:\netcdops:x:99:\n",
			"etc/systemd/system/" + u.Name + ".service": service, "etc/systemd/system/" + u.Name + ".timer": timer,
		}
		for _, target := range []string{
			"basic.target", "sysinit.target", "shutdown.target", "timers.target", "network-online.target", "multi-user.target", "mail.service", "time-sync.target",
			"time-set.target", "umount.target", "local-fs.target", "remote-fs.target", "system.slice", "-.slice", "-.mount", "tmp.mount",
		} {
			text := "[Unit]\nDefaultDependencies=no\n"
			switch filepath.Ext(target) {
			case ".service":
				text += "[Service]\nType=oneshot\nExecStart=/usr/bin/etcdops\n"
			case ".mount":
				continue
			}
			files["etc/systemd/system/"+target] = text
		}
		for file, text := range files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			mode := os.FileMode(0o644)
			if strings.HasPrefix(text, "#!") {
				mode = 0o755
			}
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		for _, unit := range []string{u.Name + ".service", u.Name + ".timer"} {
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no", "--root="+root, unit).CombinedOutput()
			if err != nil || complaint(string(out)) != "" {
				t.Errorf("%s, %s: %v\n%s", name, unit, err, out)
			}
		}
		threshold := "--threshold=15"
		if name == "root" { // that costs 0.4 at once
			threshold = "--threshold=20"
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", threshold, filepath.Join(units, u.Name+".service")).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// complaint is what systemd says of the units themselves.
func complaint(out string) string {
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Contains(line, "etcd") {
			return line
		}
	}
	return ""
}
