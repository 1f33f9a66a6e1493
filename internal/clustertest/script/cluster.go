package script

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/etcdops/etcdops/internal/clustertest"
)

var (
	errNoTB  = errors.New("script: testscript.Run was not called with a test")
	errUsage = errors.New("usage: see the documentation of package clustertest/script")
)

// key is the place of a script's state among its values.
type key struct{}

// state is what a script has started.
type state struct {
	tb       testing.TB
	clusters map[string]*clustertest.Cluster // by name
}

// scriptTB reports failures at the script's line; all else is the test's.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

// Fatalf implements testing.TB.
func (s scriptTB) Fatalf(format string, args ...any) { s.Helper(); s.ts.Fatalf(format, args...) }

// Fatal implements testing.TB.
func (s scriptTB) Fatal(args ...any) { s.Helper(); s.ts.Fatalf("%v", args...) }

// call is one execution of the command cluster.
type call struct {
	*state
	ts   *testscript.TestScript
	tb   scriptTB
	args []string // after the subcommand
}

// runCluster is the command cluster.
func runCluster(ts *testscript.TestScript, neg bool, args []string) {
	s, ok := ts.Value(key{}).(*state)
	if !ok || neg || len(args) == 0 {
		ts.Fatalf("%v", errUsage)
	}
	c := &call{state: s, ts: ts, tb: scriptTB{s.tb, ts}, args: args[1:]}
	members := map[string]func(*clustertest.Member, testing.TB){
		"stop":    (*clustertest.Member).Stop,
		"kill":    (*clustertest.Member).Kill,
		"restart": (*clustertest.Member).Restart,
		"launch":  (*clustertest.Member).Launch,
		"pause":   (*clustertest.Member).Pause,
		"resume":  (*clustertest.Member).Resume,
		"wipe":    (*clustertest.Member).Wipe,
	}
	others := map[string]func(){
		"start": c.start, "add": c.add, "remove": c.remove, "leader": c.leader, "skew": c.skew,
		"partition": c.partition, "isolate": c.isolate, "heal": c.heal,
	}
	if act := members[args[0]]; act != nil {
		for _, m := range c.named() {
			act(m, c.tb)
		}
	} else if act := others[args[0]]; act != nil {
		act()
	} else {
		ts.Fatalf("cluster %s: %v", args[0], errUsage)
	}
}

// start starts a cluster and tells the script where it is.
func (c *call) start() {
	flags := flag.NewFlagSet("cluster start", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	size := flags.Int("n", 1, "")
	tls := flags.Bool("tls", false, "")
	auth := flags.Bool("auth", false, "")
	proxy := flags.Bool("proxy", false, "")
	skew := flags.Bool("skew", false, "")
	kindName := flags.String("kind", "etcd", "")
	c.ts.Check(flags.Parse(c.args))
	kind, err := clustertest.ParseKind(*kindName)
	c.ts.Check(err)
	name := flags.Arg(0)
	if c.clusters[name] != nil || flags.NArg() > 1 {
		c.ts.Fatalf("cluster start: there is a cluster of that name already, or more than one name")
	}
	opts := clustertest.Options{Size: *size, Kind: kind, TLS: *tls, ClientProxy: *proxy}
	if *auth {
		opts.Auth = &clustertest.Auth{}
	}
	if *skew {
		opts.Skew = []time.Duration{}
	}
	c.clusters[name] = clustertest.New(c.tb, opts)
	c.setEnv(name)
}

// setEnv sets the variables of a cluster.
func (c *call) setEnv(name string) {
	cluster := c.clusters[name]
	set := func(key, etcdopsKey, value string) {
		if name == "" && etcdopsKey != "" {
			c.ts.Setenv(etcdopsKey, value)
		}
		c.ts.Setenv(varPrefix(name)+key, value)
	}
	set("ENDPOINTS", "ETCDOPS_ENDPOINTS", strings.Join(cluster.Endpoints(), ","))
	if cluster.TLS != nil {
		set("CACERT", "ETCDOPS_CACERT", cluster.TLS.CACert)
		set("CERT", "ETCDOPS_CERT", cluster.TLS.ClientCert)
		set("KEY", "ETCDOPS_KEY", cluster.TLS.ClientKey)
	}
	if cluster.Auth != nil {
		set("ROOT_USER", "ETCDOPS_USER", "root")
		set("ROOT_PASSWORD_FILE", "ETCDOPS_PASSWORD_FILE", c.secret(cluster, "root", cluster.Auth.RootPassword))
		set("APP_USER", "", cluster.Auth.User)
		set("APP_PASSWORD_FILE", "", c.secret(cluster, "app", cluster.Auth.Password))
	}
	for _, m := range cluster.Members {
		prefix := strings.ToUpper(m.Name) + "_"
		set(prefix+"CLIENT", "", m.ClientURL)
		set(prefix+"PEER", "", m.PeerURL)
		set(prefix+"DATA", "", m.DataDir)
		set(prefix+"LOG", "", m.LogFile)
	}
}

// add adds a member of the cluster's first kind.
func (c *call) add() {
	flags := flag.NewFlagSet("cluster add", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	learner := flags.Bool("learner", false, "")
	c.ts.Check(flags.Parse(c.args))
	cluster := c.cluster(flags.Arg(0))
	cluster.AddMember(c.tb, cluster.Members[0].Kind, *learner)
	c.setEnv(flags.Arg(0))
}

func (c *call) remove() {
	for _, m := range c.named() {
		m.Cluster().RemoveMember(c.tb, m)
	}
}

// skew shifts the clock of one member.
func (c *call) skew() {
	if len(c.args) != 2 {
		c.ts.Fatalf("cluster skew: a member and an offset: %v", errUsage)
	}
	offset, err := time.ParseDuration(c.args[1])
	c.ts.Check(err)
	c.args = c.args[:1]
	c.named()[0].SetSkew(c.tb, offset)
}

// secret writes a password to a file of the cluster's and returns its name.
func (c *call) secret(cluster *clustertest.Cluster, user, password string) string {
	file := filepath.Join(cluster.Dir, user+".password")
	c.ts.Check(os.WriteFile(file, []byte(password+"\n"), 0o600))
	return file
}

// named is the members named in the arguments, at least one.
func (c *call) named() []*clustertest.Member {
	if len(c.args) == 0 {
		c.ts.Fatalf("no member is named: %v", errUsage)
	}
	var members []*clustertest.Member
	for _, arg := range c.args {
		cluster, name := c.split(arg)
		members = append(members, cluster.Member(c.tb, name))
	}
	return members
}

// split finds the cluster of a member's name as scripts write it, "m1" or "east/m1", and the name within.
func (c *call) split(arg string) (cluster *clustertest.Cluster, member string) {
	name, member, named := strings.Cut(arg, "/")
	if !named {
		name, member = "", arg
	}
	return c.cluster(name), member
}

func (c *call) cluster(name string) *clustertest.Cluster {
	cluster := c.clusters[name]
	if cluster == nil {
		c.ts.Fatalf("no cluster %q was started", name)
	}
	return cluster
}

// partition cuts groups of members off each other.
func (c *call) partition() {
	var cluster *clustertest.Cluster
	groups := [][]string{nil}
	for _, arg := range c.args {
		if arg == "|" {
			groups = append(groups, nil)
			continue
		}
		of, name := c.split(arg)
		if cluster != nil && of != cluster {
			c.ts.Fatalf("cluster partition: members of different clusters")
		}
		cluster = of
		last := len(groups) - 1
		groups[last] = append(groups[last], name)
	}
	if cluster == nil || slices.ContainsFunc(groups, func(g []string) bool { return len(g) == 0 }) {
		c.ts.Fatalf("cluster partition: an empty group: %v", errUsage)
	}
	cluster.Partition(c.tb, groups...)
}

func (c *call) isolate() {
	for _, m := range c.named() {
		m.Cluster().Isolate(c.tb, m.Name)
	}
}

func (c *call) heal() {
	if len(c.args) > 1 {
		c.ts.Fatalf("cluster heal: more than one name: %v", errUsage)
	}
	c.cluster(strings.Join(c.args, "")).Heal()
}

// leader waits for a leader and sets LEADER and FOLLOWER, FOLLOWER2, ... to names of members, and LEADER_CLIENT, ... to
// their client URLs.
func (c *call) leader() {
	name, members := c.membersOrAll()
	leader := c.cluster(name).WaitLeader(c.tb, members...)
	set := func(role string, m *clustertest.Member) {
		c.ts.Setenv(varPrefix(name)+role, m.Name)
		c.ts.Setenv(varPrefix(name)+role+"_CLIENT", m.ClientURL)
	}
	set("LEADER", leader)
	followers, n := slices.DeleteFunc(members, func(m *clustertest.Member) bool { return m == leader }), ""
	for i, m := range followers {
		if i > 0 {
			n = strconv.Itoa(i + 1)
		}
		set("FOLLOWER"+n, m)
	}
}

// membersOrAll returns the members named in the arguments, or, when there is none or only the name of a cluster, all
// running ones, and the cluster's name.
func (c *call) membersOrAll() (name string, members []*clustertest.Member) {
	if len(c.args) > 0 && c.clusters[c.args[0]] == nil {
		members = c.named()
		name, _, _ = strings.Cut(c.args[0], "/")
		if name == c.args[0] {
			name = ""
		}
		return name, members
	}
	if len(c.args) > 0 {
		name = c.args[0]
	}
	for _, m := range c.cluster(name).Members {
		if m.Running() {
			members = append(members, m)
		}
	}
	return name, members
}

// varPrefix stands before the variables of a cluster.
func varPrefix(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToUpper(name) + "_"
}
