package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/elect"
	"github.com/etcdops/etcdops/internal/ui"
)

// archiveOptions are the settings of an archiver.
type archiveOptions struct {
	createOptions
	metricsOptions
	sealAfter time.Duration
	sealBytes string
	spoolMax  string
	hashEvery time.Duration
	elect     bool
}

func newBackupArchiveCmd(a *app) *cobra.Command {
	var o archiveOptions
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Follow the cluster and keep every change, so that any revision can be restored",
		Long: `Reads every change of the cluster as it is made and keeps it in the repository, in segments behind a base, until it is told to
stop. With it, etcdops backup restore --to-revision and --to-time reach every revision, not only those in backups.

It begins with a backup, or goes on where the archive in the repository ends. It may be killed at any time. When the cluster
compacted what had not been read yet, or has another history than before (it was restored), that is told, a new backup is
taken, and a new timeline begins. Of several archivers one works and the others wait (--elect); nothing is harmed when two
do work. When users or roles change a backup is taken, because changes of them are not in the stream.

It needs permission to read all keys; with --elect also to write below /etcdops/elect/.

Each second it makes a linearizable read, and every --hash-every a follower computes its hash, for which its writes wait.

Exit codes: 0 told to stop, and all is stored; 1 failed, or segments wait on the local disk for the next run; 2 usage;
4 refused: the endpoints lead to another cluster, or another archiver of this machine works.`,
		Example: "  etcdops backup archive --repo s3://etcd-backups/prod --listen-metrics 127.0.0.1:9379",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runBackupArchive(cmd, &o) },
	}
	fs := cmd.Flags()
	o.addCreate(fs)
	o.add(fs)
	fs.DurationVar(&o.sealAfter, "seal-after", 30*time.Second, "store changes when they are so old: what may be lost with this machine and the cluster together")
	fs.StringVar(&o.sealBytes, "seal-bytes", "16MiB", "store changes when they are so many bytes")
	fs.StringVar(&o.spoolMax, "spool-max", "1GiB", "how much may wait on the local disk while the store does not answer; then reading stops")
	fs.DurationVar(&o.hashEvery, "hash-every", 15*time.Minute, "have a follower compute its hash so often, to prove restores with; 0 for never")
	fs.BoolVar(&o.elect, "elect", true, "work only when elected, through keys below /etcdops/elect/ in the cluster")
	return cmd
}

// archiveEventJSON is schema etcdops.archive_event/v1, a document a line.
type archiveEventJSON struct {
	Schema string `json:"schema"`
	archive.Event
	Error string `json:"error"`
}

// archiving are the flags as the library's options; what is connected to is added later.
func (a *app) archiving(cmd *cobra.Command, o *archiveOptions, create backup.CreateOptions) (lib archive.Options, err error) {
	lib = archive.Options{SealAfter: o.sealAfter, HashEvery: o.hashEvery, Encryption: create.Encryption, Program: version, Notify: a.archiveEvents(&o.backupOptions)}
	if o.hashEvery == 0 {
		lib.HashEvery = -1
	}
	if lib.SealBytes, err = parseBytes(o.sealBytes); err != nil {
		return lib, usageError(cmd, fmt.Errorf("--seal-bytes: %w", err))
	}
	if lib.SpoolMax, err = parseBytes(o.spoolMax); err != nil {
		return lib, usageError(cmd, fmt.Errorf("--spool-max: %w", err))
	}
	return lib, nil
}

func (a *app) runBackupArchive(cmd *cobra.Command, o *archiveOptions) error {
	ctx := cmd.Context()
	create, err := o.library(cmd)
	if err != nil {
		return err
	}
	lib, err := a.archiving(cmd, o, create)
	if err != nil {
		return err
	}
	var running atomic.Pointer[archive.Archiver]
	go onStatusSignal(ctx, nil, func() { a.tellArchiver(running.Load(), lib.Notify) })
	lock, err := o.lockFile("archive")
	if err != nil {
		return err
	}
	unlock, err := backup.Lock(ctx, lock, o.wait)
	if err != nil {
		return err
	}
	defer unlock()
	lib.SpoolDir = filepath.Join(create.SpoolDir, filepath.Base(lock))
	cluster, repo, closeBoth, err := a.clusterAndRepository(cmd, &o.backupOptions)
	if err != nil {
		return err
	}
	defer closeBoth()
	lib.Cluster, lib.Store = cluster, repo.Store()
	lib.TakeBase = func(ctx context.Context, _ string) (*backup.Manifest, error) {
		create := create
		create.Fence = lib.Fence
		return repo.Create(ctx, cluster, create)
	}
	work := func(ctx context.Context, token int64) error {
		lib.Fence = token
		return o.runArchiver(ctx, lib, &running)
	}
	if !o.elect {
		return work(ctx, 0)
	}
	return a.leadAlways(ctx, elect.Options{Client: cluster.Client(), Name: "archive", ID: processName()}, work)
}

// tellArchiver tells how far an archiver is; nil for one that was not elected yet.
func (a *app) tellArchiver(archiver *archive.Archiver, notify func(archive.Event)) {
	now := time.Now()
	if archiver == nil {
		notify(archive.Event{Time: now.UTC(), Kind: archive.EventStatus, Text: "waiting to be elected, or for the cluster"})
		return
	}
	notify(archiver.Progress().Status(now))
}

// runArchiver archives, and publishes how far it has come.
func (o *archiveOptions) runArchiver(ctx context.Context, lib archive.Options, running *atomic.Pointer[archive.Archiver]) error {
	archiver, err := archive.New(lib)
	if err != nil {
		return err
	}
	stop, err := o.publish(ctx, func() []metric { return archiveMetrics(archiver.Progress(), time.Now()) })
	if err != nil {
		return err
	}
	defer stop()
	running.Store(archiver)
	return archiver.Run(ctx)
}

// processName is what others see of a process in an election.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// leadAlways works whenever it is elected, until it is told to stop.
func (a *app) leadAlways(ctx context.Context, o elect.Options, work func(context.Context, int64) error) error {
	const again = 2 * time.Second
	for ctx.Err() == nil {
		elected := false
		err := elect.Lead(ctx, o, func(ctx context.Context, token int64) error {
			elected = true
			fmt.Fprintf(a.io.Err, "elected at revision %d\n", token)
			err := work(ctx, token)
			if errors.Is(context.Cause(ctx), elect.ErrLost) {
				err = errors.Join(err, elect.ErrLost)
			}
			return err
		})
		switch {
		case ctx.Err() != nil:
			if elected {
				return err
			}
			return nil
		case elected && err != nil && !errors.Is(err, elect.ErrLost):
			return err
		case err != nil:
			fmt.Fprintf(a.io.Err, "%s; trying again\n", ui.Safe(err.Error()))
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
	return nil
}

// archiveEvents prints what happens: a line each, or a document a line with -w json.
func (a *app) archiveEvents(o *backupOptions) func(archive.Event) {
	var mu sync.Mutex // somebody may ask meanwhile
	return func(e archive.Event) {
		mu.Lock()
		defer mu.Unlock()
		if a.out == "json" {
			doc := archiveEventJSON{Schema: "etcdops.archive_event/v1", Event: e}
			if e.Err != nil {
				doc.Error = e.Err.Error()
			}
			if b, err := json.Marshal(doc); err == nil {
				fmt.Fprintf(a.io.Out, "%s\n", b)
			}
			return
		}
		if o.quiet && e.Err == nil && e.Kind != archive.EventStatus {
			return
		}
		fmt.Fprintf(a.io.Out, "%s  %-9s  %s\n", e.Time.Format(time.RFC3339), e.Kind, oneLine(e.Text))
	}
}

// metricsHandler serves metrics as they are when they are asked for.
func metricsHandler(read func() []metric) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, read())
	})
}
