package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// backupsJSON is schema etcdops.backups/v1.
type backupsJSON struct {
	Schema  string       `json:"schema"`
	Where   string       `json:"where"`
	Backups []backupView `json:"backups"`
}

// backupView is a backup as reports show it.
type backupView struct {
	ID       backup.ID        `json:"id"`
	State    string           `json:"state"`
	Level    backup.Level     `json:"level"`
	Problem  string           `json:"problem"` // empty: nothing is known against it
	Object   string           `json:"object"`  // that the problem is with
	Held     bool             `json:"held"`
	Removed  bool             `json:"removed"` // marked for removal
	Bytes    int64            `json:"bytes"`
	Manifest *backup.Manifest `json:"manifest"`
}

func viewOf(e backup.Entry) backupView {
	v := backupView{
		ID: e.ID, State: stateOf(e), Level: e.Level(), Problem: e.Problem, Object: e.Object,
		Held: e.Hold != nil, Removed: e.Tomb != nil, Bytes: e.Bytes, Manifest: e.Manifest,
	}
	if e.Problem == "" && e.Last != nil {
		v.Problem, v.Object = e.Last.Problem, e.Last.Object
	}
	return v
}

// stateOf says in a few words how good a backup is.
func stateOf(e backup.Entry) string {
	var words []string
	switch {
	case e.Manifest == nil:
		words = append(words, "UNREADABLE")
	case e.Problem != "" || e.Last != nil && e.Last.Failed():
		words = append(words, "DAMAGED")
	default:
		words = append(words, e.Level().String())
	}
	if e.Manifest != nil && e.Manifest.Encryption != "" {
		words = append(words, "encrypted")
	}
	if e.Hold != nil {
		words = append(words, "held")
	}
	if e.Tomb != nil {
		words = append(words, "to be removed")
	}
	return strings.Join(words, ", ")
}

func newBackupListCmd(a *app) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls-backups"},
		Short:   "List the backups in the repository",
		Long: `Lists the backups in the repository, newest first: only what has a manifest is a backup. A part that is missing or has
another size shows here; damage within parts shows after etcdops backup verify.

Exit codes: 0 ok; 1 the store failed, or there is no repository; 2 usage; 3 a backup is damaged; 130 interrupted.`,
		Args: cobra.NoArgs,
	}
	o.addRepo(cmd.Flags())
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, _ []string) error {
		list, err := repo.List(cmd.Context())
		if err != nil {
			return err
		}
		doc := backupsJSON{Schema: "etcdops.backups/v1", Where: repo.Store().String(), Backups: []backupView{}}
		damaged := false
		for _, e := range list {
			doc.Backups = append(doc.Backups, viewOf(e))
			damaged = damaged || e.Level() < backup.LevelData
		}
		if err := a.print(cmd, doc, func() error { return a.listBackups(doc, a.out == "wide") }); err != nil {
			return err
		}
		if damaged {
			return exitSilentError{ops.ClassCritical}
		}
		return nil
	})
	return cmd
}

// listBackups prints the table.
func (a *app) listBackups(doc backupsJSON, wide bool) error {
	if len(doc.Backups) == 0 {
		fmt.Fprintf(a.io.Out, "no backups in %s\n", ui.Safe(doc.Where))
		return nil
	}
	header := []string{"ID", "TAKEN", "CLUSTER", "REVISION", "SIZE", "STATE"}
	if wide {
		header = append(header, "RESTORES", "MEMBER", "KEYS", "HASH")
	}
	var rows [][]string
	for _, b := range doc.Backups {
		row := []string{b.ID.Short(), "-", "-", "-", health.Bytes(b.Bytes), b.State}
		if m := b.Manifest; m != nil {
			row = []string{
				b.ID.Short(), ago(m.TakenAt), m.ClusterID.String(), strconv.FormatInt(m.Revision, 10),
				health.Bytes(m.Plain.Size) + " -> " + health.Bytes(m.Stored.Size), b.State,
			}
			if wide {
				row = append(row, fmt.Sprintf("%d..%d", max(m.CompactRevision, 1), m.Revision), oneLine(m.Member.Label()), strconv.FormatInt(m.Keys, 10), fmt.Sprintf("%08x", m.Hash.Value))
			}
		}
		rows = append(rows, row)
	}
	if err := ui.Table(a.io.Out, header, rows); err != nil {
		return err
	}
	for _, b := range doc.Backups {
		if b.Problem != "" {
			text := fmt.Sprintf("%s: %s: %s", b.ID.Short(), oneLine(b.Object), oneLine(b.Problem))
			fmt.Fprintln(a.io.Out, "CRIT  "+ui.Wrap(text, indent, ui.MaxColumns, indent))
		}
	}
	return nil
}

// ago says how long ago something was, in one unit.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < 0:
		return "in the future"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}

func newBackupShowCmd(a *app) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Show what the manifest of a backup says",
		Long: `Shows what the manifest of a backup says of it: where it is from, what it holds, which revisions it restores. ID is the
beginning of a backup's ID, or latest (the default).`,
		Args: cobra.MaximumNArgs(1),
	}
	o.addRepo(cmd.Flags())
	o.addCluster(cmd.Flags())
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		e, err := a.findBackup(cmd, repo, &o, optional(args))
		if err != nil {
			return err
		}
		return a.print(cmd, backupJSON{"etcdops.backup/v1", viewOf(e)}, func() error { return a.showBackup(e) })
	})
	return cmd
}

// optional is the argument, if there is one.
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) showBackup(e backup.Entry) error {
	m := e.Manifest
	if m == nil {
		fmt.Fprintf(a.io.Out, "%s  %s: %s\n", e.ID, oneLine(e.Object), oneLine(e.Problem))
		return nil
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.io.Out, "%-12s%s\n", name, ui.Wrap(oneLine(fmt.Sprintf(format, args...)), 12, ui.MaxColumns, 12))
	}
	line("id", "%s", m.ID)
	line("state", "%s", stateOf(e))
	line("taken", "%s (%s) in %v", m.TakenAt.Format(time.RFC3339), ago(m.TakenAt), time.Duration(m.TookMS)*time.Millisecond)
	line("cluster", "%s, %d members", m.ClusterID, len(m.Members))
	line("member", "%s (%s), etcd %s", m.Member.Label(), m.Member.Role, m.Member.Version)
	line("restores", "revisions %d to %d", max(m.CompactRevision, 1), m.Revision)
	line("hash", "%08x at revision %d, compacted at %d; the member's own: %s", m.Hash.Value, m.Hash.Revision, m.Hash.CompactRevision, m.Hash.Live)
	line("keys", "%d keys, %d entries of history, %d leases", m.Keys, m.Entries, m.LeaseCount)
	line("users", "authentication %s, revision %d", map[bool]string{true: "on", false: "off"}[m.AuthEnabled], m.AuthRevision)
	line("size", "%s, stored in %d parts of %s in all", health.Bytes(m.Plain.Size), len(m.Parts), health.Bytes(m.Stored.Size))
	line("sha256", "%s", m.Plain.SHA256)
	if m.Encryption != "" {
		line("encrypted", "%s for %s", m.Encryption, strings.Join(m.Recipients, ", "))
	}
	line("where", "%s", e.Dir)
	for _, p := range m.Prefixes {
		line("", "%9d keys below %s", p.Keys, p.Prefix)
	}
	return nil
}
