// Package script runs testscript files against real clusters. A package's test needs two functions:
//
//	func TestMain(m *testing.M) {
//		script.Main(m, map[string]func(){"etcdops": func() { os.Exit(cmd.Main(os.Args)) }})
//	}
//
//	func TestScript(t *testing.T) {
//		script.Run(t, testscript.Params{Dir: "testdata/script"})
//	}
//
// The scripts get the commands named in Main, which run in a process of their own that is the test binary, and the
// command cluster:
//
//	cluster start [-n N] [-tls] [-auth] [-kind etcd|serve|etcd34] [-proxy] [-skew] [NAME]
//	cluster add [-learner] [NAME]              the next member joins
//	cluster remove MEMBER...                   by a change of the membership; the process ends, the data stay
//	cluster stop|kill|restart|launch|pause|resume|wipe MEMBER...
//	cluster partition MEMBER... '|' MEMBER...  cut the groups off each other; clients is a party too with -proxy
//	cluster isolate MEMBER                     cut it off all others
//	cluster heal                               mend the network
//	cluster skew MEMBER 2.5s                   shift its wall clock, with -skew
//	cluster leader [MEMBER...]                 wait until these, or all running members, agree on one of them;
//	                                           set LEADER, FOLLOWER, FOLLOWER2, ... to names, LEADER_CLIENT,
//	                                           FOLLOWER_CLIENT, ... to URLs
//
// Members are m1, m2, ...; those of a cluster with a NAME are NAME/m1. Heal and leader take a lone NAME too. Every command waits until what it does is done: start and restart until the
// member serves; launch starts a member that cannot serve yet and does not wait.
//
// After start the script finds these variables; those of a named cluster begin with its name in capitals and "_":
//
//	ENDPOINTS                         client URLs, separated by commas
//	CACERT CERT KEY                   with -tls: files of a client
//	ROOT_USER ROOT_PASSWORD_FILE      with -auth: root, and the file with the password
//	APP_USER APP_PASSWORD_FILE        with -auth: a user who may read and write app/
//	M1_CLIENT M1_PEER M1_DATA M1_LOG  URLs, data directory and log file of a member; M2_..., ...
//
// For the cluster without a name the variables that etcdops itself reads are set too (ETCDOPS_ENDPOINTS, ETCDOPS_CACERT,
// ...), so that a bare "etcdops health" talks to it, as root where authentication is on.
package script

import (
	"log"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// Main is a package's whole TestMain; it does not return. commands are the programs that scripts can run; each runs in a
// process of its own and ends it.
func Main(m *testing.M, commands map[string]func()) {
	if clustertest.Child() {
		return
	}
	var run testscript.TestingM = m
	if _, isCommand := commands[filepath.Base(os.Args[0])]; !isCommand {
		wrapped, err := clustertest.Wrap(m)
		if err != nil {
			log.Fatalf("clustertest: start the run: %v", err)
		}
		run = wrapped
	}
	testscript.Main(run, commands)
}

// Run runs scripts with the command cluster added to their commands.
func Run(t *testing.T, p testscript.Params) {
	t.Helper()
	setup, cmds := p.Setup, p.Cmds
	p.Setup = func(env *testscript.Env) error {
		tb, ok := env.T().(testing.TB)
		if !ok {
			return errNoTB
		}
		env.Values[key{}] = &state{tb: tb, clusters: map[string]*clustertest.Cluster{}}
		env.Vars = append(env.Vars, clustertest.RunEnv()...)
		if setup == nil {
			return nil
		}
		return setup(env)
	}
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){"cluster": runCluster}
	maps.Copy(p.Cmds, cmds)
	testscript.Run(t, p)
}
