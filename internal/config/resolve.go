package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/ops"
)

// Request is what a command knows before anything is resolved. The environment is read as well.
type Request struct {
	Flags    *pflag.FlagSet // of the command, parsed; may be nil
	File     string         // file of contexts; "" means File()
	Root     string         // where the file system that discovery looks at begins; "" means /
	Resolver Resolver       // of SRV records; nil means the system's
	Context  string         // context to use as if it had been typed, whatever the flags say; "" leaves it to them
}

// Setting is one resolved setting for people: secrets are masked.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin Origin `json:"origin"`
}

// Resolved is the answer: the settings of the connection, and where each came from.
type Resolved struct {
	Config   ops.Config
	Context  string // the context in use, "" without one
	Domain   string // whose SRV records name the endpoints, "" when they are named otherwise
	Settings []Setting
	Notices  []string      // one line each, for the error stream: what was found on this machine
	Stopped  []LocalServer // members that should run on this machine and do not; only where it was asked for the endpoints
	Advice   []string      // one line each, for people at a terminal: what is unwise

	password passwordSource
}

const masked = "********"

// Resolve merges the layers: flag over ETCDOPS_ variable over ETCDCTL_ variable over context over discovery over
// default; a context that a flag names goes before the variables. It reads no secret: see ReadSecrets. Errors are
// *ops.HintError.
func Resolve(ctx context.Context, req Request) (Resolved, error) {
	if req.File == "" {
		req.File = File()
	}
	if req.Resolver == nil {
		req.Resolver = net.DefaultResolver
	}
	l, err := newLayers(req.Flags)
	if err != nil {
		return Resolved{}, err
	}
	var r Resolved
	if r.Context, err = l.addContext(req.File, req.Context); err != nil {
		return Resolved{}, err
	}
	if err := l.addSRV(ctx, req.Resolver); err != nil {
		return Resolved{}, err
	}
	notice, stopped, err := l.addDiscovery(req.Root, r.Context != "")
	if err != nil {
		return Resolved{}, err
	}
	r.Stopped = stopped
	if r.Config, err = l.config(); err != nil {
		return Resolved{}, err
	}
	if l.srv != nil {
		r.Domain = l.text(keyDiscoverySRV)
	}
	r.Config.Auth, r.password = l.credentials()
	r.Settings = l.settings()
	if notice != "" {
		r.Notices = append(r.Notices, notice)
	}
	if visible := l.visiblePassword(); visible != "" {
		r.Advice = append(r.Advice, fmt.Sprintf("warning: %s shows the secret to every user of this machine: use --%s", visible, keyPasswordFile))
	}
	return r, nil
}

// addContext adds the context that is wanted or was named, or the file's current one, and returns its name. A file that this
// user may not read, as that of whoever typed sudo -u, matters only where it would say which cluster is meant.
func (l *layers) addContext(file, wanted string) (string, error) {
	name := wanted
	if name == "" {
		name = l.text(keyContext)
	}
	contexts, err := Load(file)
	switch {
	case err == nil:
	case name == "" && errors.Is(err, fs.ErrPermission) && l.given(keyEndpoints):
		return "", nil
	default:
		return "", err
	}
	if name == "" {
		name = contexts.Current
	}
	if name == "" {
		return "", nil
	}
	c, err := contexts.Find(name)
	if err != nil {
		return "", err
	}
	return name, l.setContext(name, wanted != "" || l.flag(keyContext) != nil, c.settings())
}

// addSRV replaces the endpoints by those of a domain, if one was named at least as strongly as they were.
func (l *layers) addSRV(ctx context.Context, resolver Resolver) error {
	domain := l.text(keyDiscoverySRV)
	if domain == "" || l.rank(keyDiscoverySRV) < l.rank(keyEndpoints) {
		return nil
	}
	insecure, err := l.flagged(keyInsecureDiscovery)
	if err != nil {
		return err
	}
	endpoints, err := lookupSRV(ctx, resolver, domain, l.text(keyDiscoverySRVName), insecure)
	if err != nil {
		return err
	}
	l.srv = &srvResult{endpoints: endpoints, from: l.origin(keyDiscoverySRV)}
	if !insecure && !l.given(keyServerName) { // the servers prove that they belong to the domain, as for etcdctl
		l.srv.serverName = domain
	}
	return nil
}

// addDiscovery adds what this machine knows of its etcd, and returns the line that tells of it. Endpoints are looked
// for where nobody named any. Where somebody named https endpoints alone, the certificates are; a context is taken to
// say all there is to say.
func (l *layers) addDiscovery(root string, inContext bool) (notice string, stopped []LocalServer, err error) {
	off, err := l.flagged(keyNoDiscover)
	if err != nil || off || inContext {
		return "", nil, err
	}
	skip, err := l.flagged(keyInsecureSkipVerify)
	if err != nil {
		return "", nil, err
	}
	named := l.given(keyEndpoints) || l.srv != nil
	certificates := skip || l.given(keyCACert) || l.given(keyCert) || l.given(keyKey)
	secure := slices.ContainsFunc(l.endpoints(), func(e string) bool { return strings.HasPrefix(e, "https://") })
	if named && (certificates || !secure) {
		return "", nil, nil
	}
	found, err := Discover(root)
	if err != nil && !named {
		return "", nil, err
	}
	if err == nil && !named {
		stopped = found.Stopped
	}
	if err != nil || found.Source == "" || found.plainDefault() && len(stopped) == 0 || named && found.CACert == "" {
		return "", stopped, nil //nolint:nilerr // endpoints were named: what this machine runs instead of etcd does not matter
	}
	settings := found.settings(!named, !l.given(keyCACert), !l.given(keyCert) && !l.given(keyKey))
	l.setFound(found.Source, settings)
	return found.notice(settings), stopped, nil
}

// endpoints returns the endpoints of the strongest layer.
func (l *layers) endpoints() []string {
	if l.srv != nil {
		return l.srv.endpoints
	}
	return l.list(keyEndpoints)
}

// config reads the merged settings into their types.
func (l *layers) config() (ops.Config, error) {
	cfg := ops.Config{
		Endpoints: l.endpoints(),
		TLS: ops.TLS{
			CACert: l.text(keyCACert), Cert: l.text(keyCert), Key: l.text(keyKey), ServerName: l.text(keyServerName),
		},
	}
	if l.srv != nil && l.srv.serverName != "" {
		cfg.TLS.ServerName = l.srv.serverName
	}
	for _, endpoint := range cfg.Endpoints {
		if err := ops.CheckEndpoint(endpoint); err != nil {
			return cfg, err
		}
	}
	if err := l.typedSettings(&cfg); err != nil {
		return cfg, err
	}
	return cfg, l.demandTLS(&cfg)
}

// demandTLS applies --insecure-transport=false: endpoints without a scheme speak TLS, and http is refused.
func (l *layers) demandTLS(cfg *ops.Config) error {
	insecure, err := l.flagged(keyInsecureTransport)
	if err != nil || insecure {
		return err
	}
	for i, endpoint := range cfg.Endpoints {
		switch {
		case strings.HasPrefix(endpoint, "http://"):
			return &ops.HintError{
				Code: CodePlainTransport, Class: ops.ClassUsage, Op: "read endpoint", Member: endpoint,
				Err:  fmt.Errorf("connections without TLS are not allowed (%s)", l.origin(keyInsecureTransport)),
				Hint: "use https://" + strings.TrimPrefix(endpoint, "http://"),
			}
		case !strings.Contains(endpoint, "://") && !strings.HasPrefix(endpoint, "unix"):
			cfg.Endpoints[i] = "https://" + endpoint
		}
	}
	return nil
}

func (l *layers) typedSettings(cfg *ops.Config) (err error) {
	if cfg.TLS.InsecureSkipVerify, err = l.flagged(keyInsecureSkipVerify); err != nil {
		return err
	}
	if cfg.DialTimeout, err = l.duration(keyDialTimeout); err != nil {
		return err
	}
	if cfg.CommandTimeout, err = l.limit(keyCommandTimeout); err != nil {
		return err
	}
	if cfg.KeepAliveTime, err = l.duration(keyKeepAliveTime); err != nil {
		return err
	}
	if cfg.KeepAliveTimeout, err = l.duration(keyKeepAliveTimeout); err != nil {
		return err
	}
	if cfg.MaxSendBytes, err = l.number(keyMaxSend); err != nil {
		return err
	}
	cfg.MaxRecvBytes, err = l.number(keyMaxRecv)
	return err
}
