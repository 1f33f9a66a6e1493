package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/daemon"
	"github.com/etcdops/etcdops/backup/elect"
	"github.com/etcdops/etcdops/backup/schedule"
	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/ops"
)

// serveBackup is the part of serve that takes backups of the member's own database.
type serveBackup struct {
	createOptions
	cron, zone  string
	jitter      time.Duration
	webhookFile string

	create backup.CreateOptions // what the flags say, without files
	place  string
	lock   string

	yielded time.Time // slot that was left to a follower

	mu     sync.Mutex
	local  *localMember // nil until the member is open
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing runs any more
	closed bool
}

func (b *serveBackup) addFlags(fs *flag.FlagSet) {
	fs.StringVar(&b.cron, "backup-schedule", "",
		"Take verified backups of the cluster at these times, as '0 */6 * * *' or @daily: one of the members that have this flag is elected and "+
			"copies its own database. Empty takes none.")
	fs.StringVar(&b.repo, "backup-repo", "",
		"Repository of the backups: a directory, s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX. ETCDOPS_BACKUP_REPO has the same meaning.")
	fs.StringVar(&b.zone, "backup-time-zone", "UTC", "Time zone of --backup-schedule, as in Europe/Berlin.")
	fs.DurationVar(&b.jitter, "backup-jitter", 0, "Delay each backup by up to so much, always the same for one cluster.")
	fs.StringVar(&b.rate, "backup-rate", "50MB", "Bytes a second at which a backup copies the database, so that writes do not wait for it.")
	fs.StringVar(&b.recipients, "backup-recipients-file", "", "File of age recipients (public keys) to encrypt backups for.")
	fs.StringVar(&b.passphrase, "backup-passphrase-file", "", "File whose first line is a passphrase to encrypt backups with.")
	fs.StringVar(&b.spool, "backup-spool", "", "Directory where a copy waits for its verification, best on another disk than the data directory.")
	fs.StringVar(&b.webhookFile, "backup-webhook-file", "", "File whose first line is a URL to POST a JSON document to when a backup fails.")
}

// check refuses settings that can never work, before anything is started. Files and places that are missing are no reason not
// to serve: they are told when a backup is due.
func (b *serveBackup) check(cmd *cobra.Command) error {
	if b.cron == "" {
		return nil
	}
	if _, err := schedule.Parse(b.cron, b.zone, b.jitter, ""); err != nil {
		return usageError(cmd, fmt.Errorf("--backup-schedule: %w", err))
	}
	rate, err := parseBytes(b.rate)
	if err != nil || rate <= 0 {
		return usageError(cmd, fmt.Errorf("--backup-rate: %q is no number of bytes a second; write 50MB", b.rate))
	}
	if b.recipients != "" && b.passphrase != "" {
		return usageError(cmd, errors.New("--backup-recipients-file and --backup-passphrase-file exclude each other"))
	}
	b.create = backup.CreateOptions{Rate: rate, Program: version}
	if b.place, err = b.backupOptions.place(); err != nil {
		return err
	}
	b.lock, err = lockFile("backup", b.place)
	return err
}

// attach has the backups end when the member begins to close: nothing may read its database then.
func (b *serveBackup) attach(options *server.Options) {
	if b.cron == "" {
		return
	}
	next := options.Attach
	options.Attach = func(member *etcdserver.EtcdServer) func() {
		b.mu.Lock()
		b.local = &localMember{member: member}
		b.mu.Unlock()
		detach := func() {}
		if next != nil {
			detach = next(member)
		}
		return func() {
			b.stop()
			detach()
		}
	}
}

// stopLimit is how long the member waits for a backup to end before it closes.
const stopLimit = 10 * time.Second

func (b *serveBackup) stop() {
	b.mu.Lock()
	b.closed = true
	cancel, ended := b.cancel, b.ended
	b.mu.Unlock()
	b.local.close()
	if cancel == nil {
		return
	}
	cancel()
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
	}
}

// start begins to take backups once the member is ready.
func (b *serveBackup) start(ctx context.Context, member *server.Server) {
	if b.cron == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it ends with the member, which hands leadership over first
	b.ended = make(chan struct{})
	go func() {
		defer close(b.ended)
		select {
		case <-member.Ready():
			b.run(ctx, member.Log())
		case <-ctx.Done():
		}
	}()
}

// run takes part in the election, and takes backups whenever elected, until ctx ends.
func (b *serveBackup) run(ctx context.Context, log *slog.Logger) {
	webhook, err := readWebhook(b.webhookFile)
	if err != nil {
		log.Warn("failures of backups are told to nobody", "error", err)
	}
	client := v3client.New(b.local.member)
	defer func() { _ = client.Close() }()
	d, err := daemon.New(daemon.Options{
		Cron: b.cron, Zone: b.zone, Jitter: b.jitter, Webhook: webhook, Notify: func(e daemon.Event) { logScheduled(log, e) },
		Cluster: func(context.Context) (ops.ClusterID, error) { return b.local.cluster(), nil },
		List: func(ctx context.Context) (list []backup.Entry, err error) {
			err = b.withRepository(ctx, func(repo *backup.Repository) error {
				list, err = repo.List(ctx)
				return err
			})
			return list, err
		},
		Take: b.take,
		Yield: func(ctx context.Context, order daemon.Order, failed error) bool {
			return b.yield(ctx, log, client, order, failed)
		},
	})
	if err != nil {
		log.Error("no backups are taken", "error", err) // the settings were checked
		return
	}
	if err := prometheus.DefaultRegisterer.Register(metricsCollector(func() []metric { return scheduleMetrics(d.Stats()) })); err != nil {
		log.Warn("metrics of backups cannot be published", "error", err)
	}
	log.Info("backups are scheduled", "schedule", b.cron, "zone", b.zone, "repository", b.place)
	const again = 5 * time.Second
	for ctx.Err() == nil {
		// Each time with a new token, where the cluster asks for users: they end.
		err := elect.Lead(b.local.member.AuthStore().WithRoot(ctx), elect.Options{Client: client, Name: scheduleElection, ID: processName()}, d.Lead)
		if err != nil && ctx.Err() == nil {
			log.Debug("the election of who takes backups goes on", "error", err)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// take takes one backup of this member.
func (b *serveBackup) take(ctx context.Context, order daemon.Order) (m *backup.Manifest, err error) {
	unlock, err := backup.Lock(ctx, b.lock, 0)
	if err != nil {
		return nil, err
	}
	defer unlock()
	create := b.create
	create.Fence, create.Slot = order.Fence, order.Slot
	if create.Encryption, err = b.encryption(); err != nil {
		return nil, err
	}
	if create.SpoolDir, err = b.spoolDir(); err != nil {
		return nil, err
	}
	err = b.withRepository(ctx, func(repo *backup.Repository) error {
		m, err = repo.CreateLocal(ctx, b.local, create)
		return err
	})
	return m, servingHint(err)
}

// servingHint names the flags of serve where the library's hint names those of the backup commands.
func servingHint(err error) error {
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Code != backup.CodeSpool {
		return err
	}
	own := *hint
	own.Hint = "make room there, or name a place on another disk: --backup-spool DIR"
	return &own
}

// withRepository opens the repository for one piece of work: a place that is away now may be back at the next.
func (b *serveBackup) withRepository(ctx context.Context, work func(*backup.Repository) error) error {
	repo, closeStore, err := b.openRepository(ctx, true)
	if err != nil {
		return err
	}
	defer closeStore()
	return work(repo)
}

// logScheduled logs what the daemon does.
func logScheduled(log *slog.Logger, e daemon.Event) {
	switch {
	case e.Taken:
		log.Info("a slot of the backup schedule was left to another", "reason", e.Err)
	case e.Err != nil:
		next := "etcdops backup status"
		if hint, ok := errors.AsType[*ops.HintError](e.Err); ok && hint.Hint != "" {
			next = hint.Hint
		}
		log.Error("no backup was taken", "error", e.Err, "code", string(ops.CodeOf(e.Err)), "next", next)
	default:
		log.Info("a backup was taken", "id", e.Manifest.ID.Short(), "revision", e.Manifest.Revision, "bytes", e.Manifest.Stored.Size,
			"took", (time.Duration(e.Manifest.TookMS) * time.Millisecond).String(), "missed-slots", e.Missed)
	}
}

// metricsCollector publishes metrics as they are when they are asked for.
type metricsCollector func() []metric

// Describe implements prometheus.Collector.
func (c metricsCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c metricsCollector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c() {
		kind := prometheus.GaugeValue
		if m.kind == "counter" {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, nil, nil), kind, m.value)
	}
}
