package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/etcdops/etcdops/internal/logging"
	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/ops"
)

const serveLong = `serve runs one member of an etcd cluster in this process. Without arguments it is a cluster of one: clients on
localhost:2379, peers on localhost:2380, data in ./default.etcd, exactly as etcd.

Every setting of etcd 3.7 works by flag (--name or -name), by variable (ETCD_NAME) and by etcd's own settings file
(--config-file or ETCD_CONFIG_FILE); with a file the flags and variables are ignored, as etcd does. Additions of etcdops have
a section of their own below.

Certificates and keys are read again at each connection. SIGTERM and SIGINT hand leadership over, let requests end and
close; a second one ends at once. Under systemd use Type=notify.

Exit codes: 0 stopped in order; 1 failure: port in use, directory not writable, disk error; 2 bad settings or certificates;
4 refused, nothing changed: the directory is in use, of another cluster, of a newer version, or its member was removed;
5 peers or discovery cannot be reached; 130 interrupted before the member was ready.`

const serveExample = `  etcdops serve
  etcdops serve --config-file /etc/etcd/etcd.yaml
  etcdops serve --name m1 --data-dir /var/lib/etcd --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380 \
    --listen-peer-urls http://10.0.0.1:2380 --initial-advertise-peer-urls http://10.0.0.1:2380 \
    --listen-client-urls http://10.0.0.1:2379,http://127.0.0.1:2379 --advertise-client-urls http://10.0.0.1:2379`

func newServeCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:                "serve [flags]",
		Short:              "Run the etcd datastore, exactly as etcd does",
		Long:               serveLong,
		Example:            serveExample,
		DisableFlagParsing: true, // etcd's own parser takes -name as well as --name
		RunE: func(cmd *cobra.Command, args []string) error {
			return runServe(cmd, a, args)
		},
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeServeHelp(cmd) })
	cmd.ValidArgsFunction = completeServe
	return cmd
}

// serveAdditions are the flags of parts that stand beside the member.
func serveAdditions() []func(*flag.FlagSet) { return new(serveParts).flags() }

// serveParts are the parts that stand beside the member, with their settings.
type serveParts struct {
	clock  serveClock
	v2Keys serveV2Keys
	backup serveBackup
}

func (p *serveParts) flags() []func(*flag.FlagSet) {
	return []func(*flag.FlagSet){p.clock.addFlags, p.v2Keys.addFlags, p.backup.addFlags}
}

func writeServeHelp(cmd *cobra.Command) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s\n\nUsage:\n  etcdops serve [flags]\n\nExamples:\n%s\n\n", cmd.Long, cmd.Example)
	server.WriteHelp(out, serveAdditions()...)
}

// completeServe offers the flags' names; cobra knows none of them.
func completeServe(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	server.Flags(serveAdditions()...).VisitAll(func(f *flag.Flag) {
		names = append(names, cobra.CompletionWithDesc("--"+f.Name, f.Usage))
	})
	return names, cobra.ShellCompDirectiveDefault
}

// runServe runs a member until it is told to stop or ends by itself.
func runServe(cmd *cobra.Command, a *app, args []string) error {
	ctx := cmd.Context()
	environ := os.Environ()
	var parts serveParts
	settings, err := server.Parse(args, environ, parts.flags()...)
	if errors.Is(err, server.ErrHelp) {
		return cmd.Help()
	}
	if err != nil {
		return err
	}
	if settings.Version {
		return a.writeEtcdVersion()
	}
	if err := parts.clock.check(cmd); err != nil {
		return err
	}
	if err := parts.backup.check(cmd); err != nil {
		return err
	}
	server.TuneMemory(ctx, settings.Additions, environ)
	options := server.Options{Notify: notifyManager, Global: true, Handlers: parts.clock.handlers()}
	parts.v2Keys.attach(&options)
	parts.backup.attach(&options)
	if !settings.LogChosen() {
		options.Logger = a.serveLogger(settings)
	}
	member, err := server.Start(ctx, settings, options)
	if err != nil {
		return err
	}
	parts.clock.start(ctx, member)
	parts.backup.start(ctx, member)
	return a.follow(ctx, member, settings)
}

// follow waits for the member to be ready, then to end; when ctx ends it stops the member.
func (a *app) follow(ctx context.Context, member *server.Server, settings *server.Settings) error {
	select {
	case <-member.Ready():
		a.announce(member, settings)
	case <-member.Done():
		return member.Wait()
	case <-ctx.Done():
		if err := stopMember(ctx, member); err != nil {
			return err
		}
		return &ops.HintError{Class: ops.ClassInterrupted, Op: "serve", Err: errors.New("interrupted before the member was ready")}
	}
	select {
	case <-member.Done():
		return member.Wait()
	case <-ctx.Done():
		return stopMember(ctx, member)
	}
}

// impatience is how long after the first signal another one counts as a second: some senders (timeout, a terminal and a
// supervisor together) deliver the first one twice.
const impatience = time.Second

// stopMember stops the member in order; a second signal ends the wait.
func stopMember(ctx context.Context, member *server.Server) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the first signal has ended it already
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		for since := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(since) > impatience {
					cancel()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return member.Stop(ctx)
}

// serveLogger makes the log for settings that choose none: for people on a terminal, upstream's JSON elsewhere.
func (a *app) serveLogger(settings *server.Settings) func(func(logging.FatalError)) *zap.Logger {
	level, err := zapcore.ParseLevel(settings.Config.LogLevel)
	if err != nil {
		level = zap.InfoLevel // Parse refuses other words
	}
	return func(onFatal func(logging.FatalError)) *zap.Logger {
		return logging.New(logging.Options{
			Out: a.io.Err, Terminal: a.io.ErrTTY, Color: a.io.Color, Width: func() int { return a.io.Width },
			Level: level, OnFatal: onFatal,
		})
	}
}

// notifyManager tells systemd, when it started us. It is told best effort, as upstream does.
func notifyManager(state string) {
	_, _ = daemon.SdNotify(false, state) // a manager that does not listen is no reason to stop serving
}

// writeEtcdVersion prints what etcd --version prints; scripts read it.
func (a *app) writeEtcdVersion() error {
	_, err := fmt.Fprintf(a.io.Out, "etcd Version: %s\nGit SHA: %s\nGo Version: %s\nGo OS/Arch: %s/%s\n",
		etcdversion.Version, etcdversion.GitSHA, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
