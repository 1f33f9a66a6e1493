package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zapgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/grpclog"

	"github.com/etcdops/etcdops/internal/logging"
	"github.com/etcdops/etcdops/ops"
)

// Options are what the program adds to a member. The zero value adds nothing.
//
// etcd's host whitelist and CORS rules apply to Handlers; etcd's users and roles apply to neither Handlers nor Register:
// both authorise for themselves.
type Options struct {
	Logger   func(onFatal func(logging.FatalError)) *zap.Logger // nil: as the upstream log settings say
	Handlers map[string]http.Handler                            // by path pattern, on every client URL that serves HTTP
	Register func(*grpc.Server)                                 // further gRPC services on every client URL
	Attach   func(*etcdserver.EtcdServer) (detach func())       // called when the member is open; detach when it begins to close
	Notify   func(state string)                                 // told the member's state in systemd's words; nil: nobody
	Global   bool                                               // what gRPC and others log in this process goes to the member's log too
}

// Server is a member that runs in this process.
type Server struct {
	etcd     *embed.Etcd
	settings *Settings
	log      *zap.Logger
	notify   func(state string)
	detach   func() // ends what was attached

	fatal    chan logging.FatalError // at most one is taken
	stopping chan struct{}           // closed by the first Stop
	stop     sync.Once
	done     chan struct{} // closed once the member has ended
	end      sync.Once
	err      error // why it ended; set before done is closed
}

// Start checks the settings against the machine, without touching anything, and then starts the member. It returns once
// the member listens; it serves when Ready is closed, which takes a quorum.
//
// When ctx ends first, what etcd has begun cannot be taken back: Start returns, etcd goes on until the process ends, as
// if killed, which it survives.
func Start(ctx context.Context, s *Settings, opts Options) (*Server, error) {
	notes, err := preflight(ctx, s)
	if err != nil {
		return nil, err
	}
	srv := &Server{
		settings: s, notify: opts.Notify,
		fatal: make(chan logging.FatalError, 1), stopping: make(chan struct{}), done: make(chan struct{}),
	}
	if srv.notify == nil {
		srv.notify = func(string) {}
	}
	cfg := *s.Config
	if err := srv.setLogger(&cfg, opts.Logger); err != nil {
		return nil, err
	}
	if opts.Global {
		setGlobalLoggers(&cfg, srv.log)
	}
	for _, note := range append(s.Warnings, notes...) {
		srv.log.Warn(note)
	}
	cfg.UserHandlers, cfg.ServiceRegister = opts.Handlers, opts.Register
	srv.notify("STATUS=opening " + absolute(cfg.Dir))
	if srv.etcd, err = srv.open(ctx, &cfg); err != nil {
		return nil, err
	}
	if srv.detach = func() {}; opts.Attach != nil {
		srv.detach = opts.Attach(srv.etcd.Server)
	}
	srv.notify("STATUS=listening; waiting for a quorum of the cluster")
	go srv.watch()
	go srv.reportWaiting(context.WithoutCancel(ctx))
	return srv, nil
}

// setLogger gives the member a logger that hands fatal entries to us: etcd would end the process, with a line in its log
// as the only reason.
func (s *Server) setLogger(cfg *embed.Config, build func(func(logging.FatalError)) *zap.Logger) error {
	if build != nil {
		s.log = build(s.fail)
	} else {
		cfg.ZapLoggerBuilder = nil // upstream builds it from the log settings
		if err := cfg.Validate(); err != nil {
			return usageError("ETO-3004", "open the log", s.settings.File, err, validationHint(err))
		}
		s.log = logging.Guard(cfg.GetLogger(), s.fail)
	}
	s.log = logging.Without(s.log, s.isEndOfListener)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(s.log)
	return nil
}

// setGlobalLoggers makes lg the log of zap's globals and of gRPC, as upstream's program does; gRPC's informational lines
// are for debugging. It must come before anything uses gRPC.
func setGlobalLoggers(cfg *embed.Config, lg *zap.Logger) {
	zap.ReplaceGlobals(lg)
	debugging := cfg.LogLevel == zap.DebugLevel.String()
	grpc.EnableTracing = debugging
	if !debugging {
		lg = lg.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
	}
	grpclog.SetLoggerV2(zapgrpc.NewLogger(lg))
}

// isEndOfListener recognises what etcd logs, as errors with stack traces, for each listener that it closes itself.
func (s *Server) isEndOfListener(entry zapcore.Entry) bool {
	select {
	case <-s.stopping:
	default:
		return false
	}
	switch entry.Message {
	case "setting up serving from embedded etcd failed.",
		"stopping insecure grpc server due to error", "stopped insecure grpc server due to error",
		"stopping secure grpc server due to error", "stopped secure grpc server due to error":
		return true
	}
	return false
}

// fail takes the first fatal entry; those that follow are its consequences.
func (s *Server) fail(f logging.FatalError) {
	select {
	case s.fatal <- f:
	default:
	}
}

// open runs upstream's start, which takes no context and may panic, and waits for it, a fatal entry or ctx.
func (s *Server) open(ctx context.Context, cfg *embed.Config) (*embed.Etcd, error) {
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		etcd, err := embed.StartEtcd(cfg)
		opened <- result{etcd, err}
	}()
	select {
	case r := <-opened:
		if r.err != nil {
			return nil, explainStart(cfg, r.err)
		}
		return r.etcd, nil
	case f := <-s.fatal:
		return nil, explainFatal(cfg, f)
	case <-ctx.Done():
		return nil, interrupted("interrupted before the member was open; the data is safe")
	}
}

// watch waits for whatever ends the member, and closes in order what still can be.
func (s *Server) watch() {
	select {
	case f := <-s.fatal: // goroutines of etcd's stand still with their locks: nothing can be closed
		s.finish(explainFatal(s.settings.Config, f))
		return
	case err := <-s.etcd.Err():
		s.closeBecause(s.explainListener(err))
	case <-s.etcd.Server.StopNotify():
		s.closeBecause(s.explainEnd())
	case <-s.stopping:
		s.closeBecause(nil)
	}
}

// closeBecause closes the member in order and records why; Stop wins over what follows from it. A fatal entry while
// closing ends the wait.
func (s *Server) closeBecause(why error) {
	select {
	case <-s.stopping:
		why = nil
	default:
	}
	closed := make(chan struct{})
	go func() {
		s.close()
		close(closed)
	}()
	select {
	case <-closed:
		s.finish(why)
	case f := <-s.fatal:
		s.finish(explainFatal(s.settings.Config, f))
	}
}

// finish records why the member ended; the first reason counts.
func (s *Server) finish(err error) {
	s.end.Do(func() {
		s.err = err
		close(s.done)
	})
}

// Ready is closed once the member serves clients.
func (s *Server) Ready() <-chan struct{} { return s.etcd.Server.ReadyNotify() }

// Done is closed once the member has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Wait returns when the member has ended: nil after Stop, otherwise the reason.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Etcd is the running member, for handlers and services that stand on it.
func (s *Server) Etcd() *etcdserver.EtcdServer { return s.etcd.Server }

// Stop hands leadership to another member, lets running requests end, and closes. When ctx ends first it gives up at
// once; the process should end then, which the data survives.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		s.notify("STOPPING=1\nSTATUS=handing leadership over and closing")
		close(s.stopping)
	})
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return interrupted("stopped before requests had ended and leadership was handed over; the data is safe")
	}
}

// close shuts down in order. etcd's Close waits for its listeners, which wait for the member to be ready or stopping: one
// that never became ready has to be stopped first.
func (s *Server) close() {
	s.detach()
	select {
	case <-s.Ready():
		if err := s.etcd.Server.TryTransferLeadershipOnShutdown(); err != nil {
			s.log.Warn("leadership could not be handed over before closing; the others elect a leader", zap.Error(err))
		}
	default:
		s.etcd.Server.Stop()
	}
	s.etcd.Close()
}

// interrupted is the failure of a start or stop that was not waited for.
func interrupted(what string) error {
	return &ops.HintError{Class: ops.ClassInterrupted, Op: "serve", Err: errors.New(what)}
}

// IDs are the member's and its cluster's.
func (s *Server) IDs() (ops.MemberID, ops.ClusterID) {
	return ops.MemberID(s.etcd.Server.MemberID()), ops.ClusterID(s.etcd.Server.Cluster().ID())
}

// PeerTLS is how this member reaches the peer URLs of others, with the certificates as they are now.
func (s *Server) PeerTLS() (*tls.Config, error) {
	cfg := s.etcd.Config()
	if cfg.PeerTLSInfo.Empty() {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil // peers without TLS, or with certificates of public authorities
	}
	return cfg.PeerTLSInfo.ClientConfig()
}

// Log is the member's log, for what the program itself has to say.
func (s *Server) Log() *slog.Logger { return logging.Slog(s.log) }
