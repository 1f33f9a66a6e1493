package server

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/features"

	"github.com/etcdops/etcdops/ops"
)

// ErrHelp is returned by Parse when the help page was asked for.
var ErrHelp = flag.ErrHelp

// Settings are what a member is started with.
type Settings struct {
	Config    *embed.Config // upstream's settings, complete and valid
	Additions Additions     // ours
	File      string        // the file that Config was read from; empty: flags and variables
	Version   bool          // only the version was asked for: nothing else is filled in
	Warnings  []string      // what the user should hear although nothing is wrong
}

// Parse reads the settings as upstream's etcd does: args are the words after the program's name, environ is what
// os.Environ returns. A settings file switches upstream's flags and ETCD_ variables off; our additions keep the order
// flag, ETCDOPS_SERVE_ variable, section "etcdops" of the file, default. Extra functions add further additions, which
// get the same treatment. Parse opens no file but the settings file, and no port.
//
// Upstream keeps two raft timeouts in globals, which parsing sets: it comes before the first member of a process.
//
// Unlike upstream it returns errors instead of ending the process, and lets a flag win over its variable instead of
// refusing to start.
func Parse(args, environ []string, extra ...func(*flag.FlagSet)) (*Settings, error) {
	set := newFlagSet(extra...)
	if err := set.parse(args); err != nil {
		return nil, err
	}
	if set.version {
		return &Settings{Version: true}, nil
	}
	env := newEnvironment(environ)
	if err := checkArchitecture(env); err != nil {
		return nil, err
	}
	s := &Settings{File: set.settingsFile(env)}
	section, err := s.readUpstream(set, env)
	if err != nil {
		return nil, err
	}
	if err := set.fillAdditions(env, section); err != nil {
		return nil, err
	}
	s.Additions = *set.additions
	return s, s.complete(set.initialCluster)
}

// LogChosen reports whether the settings say how to log; the level alone does not.
func (s *Settings) LogChosen() bool {
	for _, name := range []string{"logger", "log-format", "log-outputs", "enable-log-rotation", "log-rotation-config-json"} {
		if s.Config.FlagsExplicitlySet[name] {
			return true
		}
	}
	return false
}

// readUpstream fills Config the way upstream's program does, and returns the file's section of additions.
func (s *Settings) readUpstream(set *flagSet, env environment) (section map[string]any, err error) {
	if s.File == "" {
		var notes []string
		s.Config, notes, err = set.configuration(env)
		s.Warnings = append(s.Warnings, notes...)
		return nil, err
	}
	file, err := readFile(s.File)
	if err != nil {
		return nil, err
	}
	s.Config = file.config
	s.Warnings = append(s.Warnings, file.notes...)
	if unused := set.overruled(env); len(unused) > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("settings come from %s alone, as with etcd; ignored: %s",
			s.File, strings.Join(unused, ", ")))
	}
	return file.section, nil
}

// complete adds what upstream decides after parsing, and our defaults.
func (s *Settings) complete(initialCluster string) error {
	cfg := s.Config
	if len(cfg.ListenPeerUrls) == 0 || len(cfg.ListenClientUrls) == 0 {
		return usageError("ETO-3004", "check settings", s.File, errors.New("a member needs URLs to listen on for peers and for clients"), helpCommand)
	}
	if host, err := cfg.UpdateDefaultClusterFromName(initialCluster); err == nil && host != "" {
		// Upstream does this for every name but the default one, with which it refuses its own default.
		if cfg.InitialCluster == initialCluster && cfg.DNSCluster == "" {
			cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
		}
		s.Warnings = append(s.Warnings, "advertised URLs were left at their default: using this machine's address "+host)
	}
	if cfg.Dir == "" {
		cfg.Dir = cfg.Name + ".etcd"
	}
	if err := checkHashesByDefault(cfg); err != nil {
		return err
	}
	s.Warnings = append(s.Warnings, riskNotes(cfg)...)
	return nil
}

// checkHashesByDefault turns on the leader's comparison of the members' compaction hashes, which costs nothing until a
// difference is found, unless the user decided about it. InitialCorruptCheck stays off as upstream has it: it reads the
// whole store at each restart.
func checkHashesByDefault(cfg *embed.Config) error {
	gate, ok := cfg.ServerFeatureGate.(interface {
		Set(value string) error
		String() string
	})
	if !ok {
		return nil
	}
	for decision := range strings.SplitSeq(gate.String(), ",") {
		name, _, _ := strings.Cut(decision, "=")
		if name == string(features.CompactHashCheck) || name == "AllAlpha" {
			return nil
		}
	}
	return gate.Set(string(features.CompactHashCheck) + "=true")
}

// riskNotes warns of settings that are valid and dangerous.
func riskNotes(cfg *embed.Config) []string {
	var notes []string
	if cfg.ForceNewCluster {
		notes = append(notes, "--force-new-cluster throws away every member but this one and what was not yet committed; "+
			"what to do instead: etcdops explain quorum-lost")
	}
	if cfg.UnsafeNoFsync {
		notes = append(notes, "--unsafe-no-fsync: acknowledged writes are lost when this machine loses power")
	}
	deprecated := map[string]string{
		"max-snapshots":  "--max-snapshots is deprecated and goes in etcd 3.8",
		"v2-deprecation": "--v2-deprecation is deprecated, has no effect and goes in etcd 3.8",
	}
	for _, name := range []string{"max-snapshots", "v2-deprecation"} {
		if cfg.FlagsExplicitlySet[name] {
			notes = append(notes, deprecated[name])
		}
	}
	return notes
}

// usageError is a failure of the settings: nothing was tried.
func usageError(code ops.Code, op, subject string, err error, hint string) error {
	return &ops.HintError{Code: code, Class: ops.ClassUsage, Op: op, Member: subject, Err: err, Hint: hint}
}

// helpCommand lists every setting.
const helpCommand = "etcdops serve --help"

// quoteList joins names for a message: "a, b and c".
func quoteList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(slices.Clone(names[:last]), ", ") + " and " + names[last]
}
