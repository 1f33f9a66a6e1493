package systemd_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/node/nodetest"
	"github.com/etcdops/etcdops/internal/node/systemd"
	"github.com/etcdops/etcdops/recovery"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// stub stands in for systemctl: it reads the unit and its drop-ins as systemd does, and really starts and stops the
// process.
const stub = `#!/bin/sh
D=@DIR@
verb=$1; shift
for a in "$@"; do case $a in --*) ;; *) unit=$a;; esac; done
files() { for f in $D/$unit $D/$unit.d/*.conf; do [ -f "$f" ] && echo "$f"; done; }
all() { for f in $(files); do echo "# $f"; cat "$f"; done; }
alive() { p=$(cat $D/pid 2>/dev/null) && [ -n "$p" ] && [ -d /proc/$p ] && ! grep -q '^State:.*Z' /proc/$p/status; }
case $verb in
cat) [ -f $D/$unit ] || { echo "No files found for $unit." >&2; exit 1; }; all;;
show) if alive; then echo MainPID=$p; echo ActiveState=active; else echo MainPID=0; echo ActiveState=inactive; fi;;
daemon-reload|reset-failed) ;;
stop) if alive; then kill $p; while alive; do sleep 0.02; done; fi;;
start) alive && exit 0
  for c in $(all | sed -n 's/^ConditionPathExists=!//p'); do [ -e "$c" ] && exit 0; done
  exec=$(all | sed -n 's/^ExecStart=//p' | tail -1)
  envs=$(all | sed -n 's/^Environment=//p' | tr '\n' ' ')
  for f in $(all | sed -n 's/^EnvironmentFile=//p'); do envs="$envs $(sed 's/.*/"&"/' $f | tr '\n' ' ')"; done
  eval "env -i PATH=$PATH $envs setsid $exec >>$D/log 2>&1 </dev/null &"
  echo $! >$D/pid;;
*) echo "unknown verb $verb" >&2; exit 1;;
esac
`

// fixture is a unit whose member takes its joining settings from flags, or from the unit's environment.
func fixture(t *testing.T, fromEnv bool) nodetest.Fixture {
	m, wal := nodetest.StoppedMember(t)
	command, env := m.Spec()
	if fromEnv {
		command = slices.DeleteFunc(command, func(a string) bool {
			name, value, ok := strings.Cut(strings.TrimPrefix(a, "--"), "=")
			if ok && strings.HasPrefix(name, "initial-cluster") {
				env = append(env, "ETCD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+value)
			}
			return ok && strings.HasPrefix(name, "initial-cluster")
		})
	}
	dir := t.TempDir()
	var lines []string
	for _, e := range env {
		lines = append(lines, `Environment="`+e+`"`)
	}
	lines = append(lines, `ExecStart="`+strings.Join(command, `" "`)+`"`)
	unit := filepath.Join(dir, "etcd.service")
	write(t, unit, "[Service]\nType=notify\n"+strings.Join(lines, "\n")+"\n", 0o644)
	program := filepath.Join(dir, "systemctl")
	write(t, program, strings.ReplaceAll(stub, "@DIR@", dir), 0o755)
	n := systemd.New("etcd")
	n.Dir, n.Systemctl = dir, program
	t.Cleanup(func() { _ = n.Stop(context.WithoutCancel(t.Context())) })
	return nodetest.Fixture{
		Node: n, Member: m, WAL: wal, Files: []string{unit},
		Revive: func(t *testing.T) { // the machine boots
			if err := n.Start(t.Context()); err == nil {
				t.Error("Start started a masked unit")
			}
		},
	}
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Fixture { return fixture(t, false) })
}

func TestContractWithVariables(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Fixture { return fixture(t, true) })
}

// TestSettingsStaySecret: a settings file that only some may read is changed into one that the same may read, and no others.
func TestSettingsStaySecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := filepath.Join(dir, "etcd.yaml")
	write(t, settings, "name: m1\ndata-dir: "+filepath.Join(dir, "data")+"\n", 0o640)
	write(t, filepath.Join(dir, "etcd.service"), "[Service]\nExecStart=/bin/true --config-file="+settings+"\n", 0o644)
	program := filepath.Join(dir, "systemctl")
	write(t, program, strings.ReplaceAll(stub, "@DIR@", dir), 0o755)
	if os.Geteuid() == 0 {
		if err := os.Chown(settings, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	n := systemd.New("etcd")
	n.Dir, n.Systemctl = dir, program
	for range 2 { // the second time it is a copy of ours that is changed
		if err := n.Configure(t.Context(), []recovery.Setting{{Name: "initial-cluster-state", Value: "existing"}}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "etcd.service.d", "90-etcdops.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != 0o640 || !ok || os.Geteuid() == 0 && (stat.Uid != 65534 || stat.Gid != 65534) {
			t.Errorf("mode %v, owner %+v", info.Mode(), stat.Uid)
		}
	}
}
