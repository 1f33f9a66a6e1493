package server

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.etcd.io/etcd/pkg/v3/flags"
	cconfig "go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/etcdops/etcdops/internal/suggest"
)

// flagSet holds upstream's flags and our additions, bound to one configuration. The standard flag package parses, so
// that -name works like --name.
type flagSet struct {
	*flag.FlagSet
	cfg            *embed.Config
	initialCluster string // upstream's default of initial-cluster
	clusterState   *flags.SelectiveStringValue
	fallback       *flags.SelectiveStringValue
	configFile     string
	version        bool

	own       *flag.FlagSet // the additions alone; each is in FlagSet too
	additions *Additions
}

// newFlagSet declares every flag: upstream's AddFlags, those that only upstream's program knows, and the additions.
func newFlagSet(extra ...func(*flag.FlagSet)) *flagSet {
	cfg := embed.NewConfig()
	set := &flagSet{
		FlagSet:        flag.NewFlagSet("etcdops serve", flag.ContinueOnError),
		cfg:            cfg,
		initialCluster: cfg.InitialCluster,
		clusterState:   flags.NewSelectiveStringValue(embed.ClusterStateFlagNew, embed.ClusterStateFlagExisting),
		fallback:       flags.NewSelectiveStringValue("exit", "proxy"),
	}
	set.SetOutput(io.Discard) // errors are returned, not printed
	set.Usage = func() {}
	cfg.AddFlags(set.FlagSet)
	set.StringVar(&set.configFile, "config-file", "",
		"Path to the settings file. With it, the other flags and the ETCD_ variables are ignored.")
	set.Var(set.fallback, "discovery-fallback", "What to do when discovery fails; only exit is left.")
	set.Var(set.clusterState, "initial-cluster-state",
		"new to bootstrap a new cluster, existing to join one. Ignored once the member has started.")
	set.Var(v2Deprecation(), "v2-deprecation", "Deprecated, without effect.")
	set.BoolVar(&set.version, "version", false, "Print the version and exit.")
	for _, name := range ignoredFlags() {
		set.Var(&flags.IgnoredFlag{Name: name}, name, "Ignored: for command lines of old versions.")
	}
	set.addAdditions(extra)
	return set
}

// v2Deprecation accepts what upstream accepts; the value is never used. Upstream drops the flag in 3.8.
func v2Deprecation() flag.Value {
	return flags.NewSelectiveStringsValue(
		string(cconfig.V2Depr1WriteOnly), string(cconfig.V2Depr1WriteOnlySkipCheck),
		string(cconfig.V2Depr1WriteOnlyDrop), string(cconfig.V2Depr2Gone))
}

// ignoredFlags are names of long ago that upstream still accepts and ignores.
func ignoredFlags() []string {
	return []string{
		"cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force", "max-result-buffer",
		"max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout", "retry-interval", "snapshot", "v", "vv",
		"test.coverprofile", "test.outputdir",
	}
}

// parse reads the command line. What it returns is ErrHelp or an error for the user.
func (set *flagSet) parse(args []string) error {
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ErrHelp
	case err != nil:
		return set.explainParse(err)
	case set.NArg() > 0:
		return set.explainWord(args, set.Arg(0))
	}
	return nil
}

// explainParse turns the flag package's message into one that says what to type instead.
func (set *flagSet) explainParse(err error) error {
	const unknown = "flag provided but not defined: -"
	name, isUnknown := strings.CutPrefix(err.Error(), unknown)
	if !isUnknown {
		return usageError("ETO-3002", "read the command line", "", err, helpCommand)
	}
	return usageError("ETO-3001", "read the command line", "", fmt.Errorf("unknown flag --%s", name), set.suggest(name))
}

// explainWord is about a word that belongs to no flag: most often a boolean's value after a space.
func (set *flagSet) explainWord(args []string, word string) error {
	hint := helpCommand
	at := len(args) - set.NArg()
	if at > 0 && (word == "true" || word == "false") {
		hint = args[at-1] + "=" + word
	}
	return usageError("ETO-3001", "read the command line", "", fmt.Errorf("%q is not a flag", word), hint)
}

// suggest names the flag that was meant.
func (set *flagSet) suggest(name string) string {
	var names []string
	set.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(ignoredFlags(), f.Name) {
			names = append(names, f.Name)
		}
	})
	if moved := formerFlag(name, names); moved != "" {
		return moved
	}
	if near := suggest.Nearest(name, names); near != "" {
		return "did you mean --" + near + "?"
	}
	return helpCommand
}

// given lists the flags that were typed, in the order of their names.
func (set *flagSet) given() map[string]bool {
	names := map[string]bool{}
	set.Visit(func(f *flag.Flag) { names[f.Name] = true })
	return names
}
