package server

import (
	"errors"
	"flag"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/pkg/v3/flags"
	cconfig "go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// configuration does what upstream's program does between parsing the command line and starting the server, when there
// is no settings file: variables, assignments of the flags that are bound to no field, validation.
func (set *flagSet) configuration(env environment) (*embed.Config, []string, error) {
	notes, err := set.readVariables(env)
	if err != nil {
		return nil, nil, err
	}
	set.raiseRaftTimeouts()
	set.assign()
	set.applyImplications()
	set.Visit(func(f *flag.Flag) {
		if set.own.Lookup(f.Name) == nil {
			set.cfg.FlagsExplicitlySet[f.Name] = true
		}
	})
	if set.fallback.String() == "proxy" {
		return nil, nil, usageError("ETO-3004", "check settings", "", errors.New("--discovery-fallback=proxy: the v2 proxy is gone"),
			"leave --discovery-fallback out")
	}
	if err := validate(set.cfg, ""); err != nil {
		return nil, nil, err
	}
	enforce(set.cfg)
	return set.cfg, append(notes, set.ignoredNotes()...), nil
}

// raiseRaftTimeouts keeps upstream's minimum; the timeouts are globals of upstream's.
func (set *flagSet) raiseRaftTimeouts() {
	rafthttp.ConnReadTimeout = max(rafthttp.ConnReadTimeout, rafthttp.DefaultConnReadTimeout)
	rafthttp.ConnWriteTimeout = max(rafthttp.ConnWriteTimeout, rafthttp.DefaultConnWriteTimeout)
}

// assign copies the flags that AddFlags binds to no field.
func (set *flagSet) assign() {
	cfg, fs := set.cfg, set.FlagSet
	for name, field := range map[string]*[]url.URL{
		"listen-peer-urls":            &cfg.ListenPeerUrls,
		"initial-advertise-peer-urls": &cfg.AdvertisePeerUrls,
		"listen-client-urls":          &cfg.ListenClientUrls,
		"listen-client-http-urls":     &cfg.ListenClientHttpUrls,
		"advertise-client-urls":       &cfg.AdvertiseClientUrls,
		"listen-metrics-urls":         &cfg.ListenMetricsUrls,
	} {
		*field = flags.UniqueURLsFromFlag(fs, name)
	}
	for name, field := range map[string]*[]string{
		"client-cert-allowed-hostname": &cfg.ClientTLSInfo.AllowedHostnames,
		"peer-cert-allowed-cn":         &cfg.PeerTLSInfo.AllowedCNs,
		"peer-cert-allowed-hostname":   &cfg.PeerTLSInfo.AllowedHostnames,
		"cipher-suites":                &cfg.CipherSuites,
	} {
		*field = flags.StringsFromFlag(fs, name)
	}
	cfg.DiscoveryCfg.Endpoints = flags.UniqueStringsFromFlag(fs, "discovery-endpoints")
	cfg.CORS = flags.UniqueURLsMapFromFlag(fs, "cors")
	cfg.HostWhitelist = flags.UniqueStringsMapFromFlag(fs, "host-whitelist")
	cfg.MaxConcurrentStreams = flags.Uint32FromFlag(fs, "max-concurrent-streams")
	cfg.LogOutputs = flags.UniqueStringsFromFlag(fs, "log-outputs")
	cfg.ClusterState = set.clusterState.String()
}

// applyImplications takes defaults back that another flag rules out.
func (set *flagSet) applyImplications() {
	cfg := set.cfg
	if flags.IsSet(set.FlagSet, "listen-client-urls") && !flags.IsSet(set.FlagSet, "advertise-client-urls") {
		cfg.AdvertiseClientUrls = nil
	}
	discovered := cfg.DNSCluster != "" || cfg.DNSClusterServiceName != "" || len(cfg.DiscoveryCfg.Endpoints) > 0
	if discovered && !flags.IsSet(set.FlagSet, "initial-cluster") {
		cfg.InitialCluster = ""
	}
}

// ignoredNotes tells of typed flags that do nothing.
func (set *flagSet) ignoredNotes() []string {
	var notes []string
	for _, name := range ignoredFlags() {
		if flags.IsSet(set.FlagSet, name) {
			notes = append(notes, fmt.Sprintf("--%s is ignored: etcd no longer has it", name))
		}
	}
	return notes
}

// enforce sets what upstream's program sets whatever was given.
func enforce(cfg *embed.Config) {
	cfg.V2Deprecation = cconfig.V2DeprDefault
	if cfg.WarningUnaryRequestDuration == 0 {
		cfg.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	}
}

// validate runs upstream's validation without its side effects: a logger of our own keeps it from opening log files, and
// the level is checked first because upstream panics on an unknown one.
func validate(cfg *embed.Config, file string) error {
	if _, err := zapcore.ParseLevel(cfg.LogLevel); err != nil {
		return usageError("ETO-3002", "check settings", file, fmt.Errorf("--log-level: %w", err),
			"--log-level=debug, info, warn, error, panic or fatal")
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	defer func() { cfg.ZapLoggerBuilder = nil }()
	if err := cfg.Validate(); err != nil {
		return usageError("ETO-3004", "check settings", file, err, validationHint(err))
	}
	return nil
}

// validationHint says what to change for the mistakes that people make most.
func validationHint(err error) string {
	switch {
	case errors.Is(err, embed.ErrUnsetAdvertiseClientURLsFlag):
		return "add --advertise-client-urls with the URLs that clients use to reach this member"
	case errors.Is(err, embed.ErrConflictBootstrapFlags):
		return "keep one of --initial-cluster, --discovery-endpoints and --discovery-srv"
	case errors.Is(err, embed.ErrLogRotationInvalidLogOutput):
		return "give --log-outputs exactly one file"
	}
	return helpCommand
}
