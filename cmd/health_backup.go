package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/ops"
)

// backupCheck finds out how things stand with the backups, while the members are asked.
type backupCheck struct {
	repo     string
	interval time.Duration

	mu   sync.Mutex
	last *repositoryLook // one of several clusters may be under way; one that hangs must not become many
}

func (b *backupCheck) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&b.repo, "repo", "", "backup repository that backup.age looks at (default $ETCDOPS_BACKUP_REPO, else that of the backups taken on this machine)")
	fs.DurationVar(&b.interval, "backup-interval", 0, "how often a backup is due (default $ETCDOPS_BACKUP_INTERVAL, else 24h)")
}

// check reads the interval before anything is asked.
func (b *backupCheck) check() error {
	if text := os.Getenv("ETCDOPS_BACKUP_INTERVAL"); b.interval == 0 && text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fmt.Errorf("ETCDOPS_BACKUP_INTERVAL is a duration such as 6h, not %q", text)
		}
		b.interval = d
	}
	switch {
	case b.interval == 0:
		b.interval = 24 * time.Hour
	case b.interval < time.Second:
		return fmt.Errorf("--backup-interval is a duration of at least 1s, not %v", b.interval)
	}
	return nil
}

// place is the repository's, and whether somebody named it. Without a name it is where backups of this machine go, if
// there ever was one; empty means that there is no repository.
func (b *backupCheck) place() (place string, named bool) {
	o := backupOptions{repo: b.repo}
	named = orEnv(b.repo, "ETCDOPS_BACKUP_REPO") != ""
	place, err := o.place()
	if err != nil {
		return "", false // there is no home, so there are no backups in it
	}
	if _, err := os.Stat(filepath.Join(place, "repo.json")); !named && errors.Is(err, os.ErrNotExist) {
		return "", false
	}
	return place, named
}

// backupPatience is how many times the silence that a member may keep a repository may take: it has no other to ask.
const backupPatience = 3

// start begins to read the repository; nil means that there is none.
func (b *backupCheck) start(ctx context.Context, bound time.Duration) *repositoryLook {
	place, named := b.place()
	if place == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil || b.last.ended() {
		bound *= backupPatience
		l := &repositoryLook{place: place, shown: shownPlace(place), named: named, interval: b.interval, bound: bound, begun: time.Now(), done: make(chan struct{})}
		b.last = l
		ctx, cancel := context.WithTimeout(ctx, bound)
		go func() {
			defer cancel()
			defer close(l.done)
			l.clusters, l.err = l.read(ctx)
		}()
	}
	return b.last
}

// repositoryLook is one reading of a repository.
type repositoryLook struct {
	place    string
	shown    string // place, for people
	named    bool   // by somebody, for this cluster
	interval time.Duration
	bound    time.Duration
	begun    time.Time

	done     chan struct{} // closed when what follows is there
	clusters map[ops.ClusterID]*health.BackupState
	err      error
}

func (l *repositoryLook) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// recentBackups is how many backups of a cluster are looked at: reading the manifests of years takes long.
const recentBackups = 8

// read finds out how things stand with each cluster in the repository.
func (l *repositoryLook) read(ctx context.Context) (map[ops.ClusterID]*health.BackupState, error) {
	o := backupOptions{repo: l.place}
	repo, closeStore, err := o.openRepository(ctx, false)
	if err != nil {
		return nil, err
	}
	defer closeStore()
	entries, err := repo.Recent(ctx, recentBackups)
	if err != nil {
		return nil, err
	}
	states := map[ops.ClusterID]*health.BackupState{}
	facts := map[ops.ClusterID]*pitr.Facts{}
	for _, e := range entries {
		id := clusterOfBackup(e)
		if states[id] == nil {
			states[id] = &health.BackupState{Repository: l.shown, IntervalSeconds: int64(l.interval.Seconds())}
			facts[id] = &pitr.Facts{Cluster: id}
		}
		addBackup(states[id], e)
		if e.Level() >= backup.LevelData {
			m := e.Manifest
			facts[id].Bases = append(facts[id].Bases, pitr.Base{Entry: e, ID: e.ID, Revision: m.Revision, CompactRevision: m.CompactRevision})
		}
	}
	for id, f := range facts {
		if f.Timelines, err = archive.Load(ctx, repo.Store(), id); err != nil {
			return nil, err
		}
		states[id].ArchivedTo = archivedTo(*f)
	}
	return states, nil
}

// clusterOfBackup is whose backup it is: its directory tells, also where the manifest cannot be read.
func clusterOfBackup(e backup.Entry) ops.ClusterID {
	if e.Manifest != nil {
		return e.Manifest.ClusterID
	}
	id, err := strconv.ParseUint(filepath.Base(filepath.Dir(filepath.Dir(filepath.Clean(e.Dir)))), 16, 64)
	if err != nil {
		return 0
	}
	return ops.ClusterID(id)
}

// addBackup counts one backup; the newest come first.
func addBackup(s *health.BackupState, e backup.Entry) {
	s.Looked++
	if e.Level() < backup.LevelData {
		s.Damaged++
		return
	}
	taken := e.Manifest.TakenAt
	if s.LatestAt == nil {
		s.LatestAt = &taken
	}
	verified := taken // it was, before it counted as a backup
	if e.Last != nil && e.Last.Level >= backup.LevelStored && e.Last.At.After(verified) {
		verified = e.Last.At
	}
	if s.VerifiedAt == nil || verified.After(*s.VerifiedAt) {
		s.VerifiedAt = &verified
	}
}

// archivedTo is up to when changes can be restored from the archive; nil without one that begins at a good backup. What
// goes on in another history counts there.
func archivedTo(f pitr.Facts) *time.Time {
	var newest *time.Time
	for i := range f.Timelines {
		t := &f.Timelines[i]
		until := pitr.KnownUntil(t)
		begins := slices.ContainsFunc(f.Bases, func(b pitr.Base) bool { return b.Revision >= t.After && b.Revision <= t.Last })
		if begins && t.Fork == 0 && !until.IsZero() && (newest == nil || until.After(*newest)) {
			newest = &until
		}
	}
	return newest
}

// of waits for the reading and tells how things stand with one cluster; nil when nothing is known of a repository for it.
func (l *repositoryLook) of(ctx context.Context, cluster ops.ClusterID) *health.BackupState {
	if l == nil {
		return nil
	}
	state := &health.BackupState{Repository: l.shown, IntervalSeconds: int64(l.interval.Seconds())}
	rest := time.NewTimer(time.Until(l.begun.Add(l.bound)))
	defer rest.Stop()
	select {
	case <-l.done:
	case <-rest.C:
		state.Problem = "no answer for " + l.bound.String()
	case <-ctx.Done():
		state.Problem = "interrupted"
	}
	if !l.ended() { // what was read in time counts, however late it is asked for: a window may lie between
		return state
	}
	state.Problem = ""
	known := l.clusters[cluster]
	switch {
	case l.err != nil:
		state.Problem = problemOf(l.err)
	case cluster == 0:
		state.Problem = "which of its clusters this is, no member told" + l.only()
	case known != nil:
		return known
	case !l.named:
		return nil // other clusters are backed up from here
	}
	return state
}

// only tells the newest backup where there is one cluster: it may be what is needed next.
func (l *repositoryLook) only() string {
	if len(l.clusters) != 1 {
		return ""
	}
	for id, s := range l.clusters {
		if s.LatestAt != nil {
			return fmt.Sprintf("; the newest good backup there is of cluster %s, taken %s", id, s.LatestAt.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// shownPlace is a repository's place without what somebody should not have put into it.
func shownPlace(place string) string {
	scheme, _, isURL := strings.Cut(place, "://")
	if !isURL {
		return place
	}
	u, err := url.Parse(place)
	if err != nil {
		return scheme + "://..."
	}
	return u.Redacted()
}

// problemOf is an error without what the check says itself.
func problemOf(err error) string {
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Err != nil {
		return hint.Err.Error()
	}
	return err.Error()
}
