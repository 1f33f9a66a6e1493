package backup

import (
	"context"
	"time"
)

// Overview is how things stand with the backups of one cluster.
type Overview struct {
	Cluster   string         `json:"cluster"`
	Backups   int            `json:"backups"`
	Damaged   int            `json:"damaged"`
	Newest    *OverviewEntry `json:"newest"`     // newest verified one; null for none
	LastDrill *time.Time     `json:"last_drill"` // when one of them was last restored and started; null for never
	DrillMS   int64          `json:"drill_ms"`   // how long that took
	Bytes     int64          `json:"bytes"`
}

// OverviewEntry is a backup in an overview.
type OverviewEntry struct {
	ID       ID        `json:"id"`
	TakenAt  time.Time `json:"taken_at"`
	Revision int64     `json:"revision"`
	Oldest   int64     `json:"oldest"` // revision that it restores
}

// Overviews judges nothing: it counts, for each cluster, in the order of their newest backups.
func (r *Repository) Overviews(ctx context.Context) ([]Overview, error) {
	list, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	return overviews(list), nil
}

// unknownCluster stands for that of backups whose manifest cannot be read.
const unknownCluster = "unknown"

// overviews counts the backups of a list, newest first, for each cluster.
func overviews(list []Entry) []Overview {
	at := map[string]int{}
	out := []Overview{}
	for _, e := range list {
		cluster := unknownCluster
		if e.Manifest != nil {
			cluster = e.Manifest.ClusterID.String()
		}
		i, ok := at[cluster]
		if !ok {
			i = len(out)
			at[cluster] = i
			out = append(out, Overview{Cluster: cluster})
		}
		out[i].add(e)
	}
	return out
}

// add counts a backup; the newest comes first.
func (o *Overview) add(e Entry) {
	o.Backups++
	o.Bytes += e.Bytes
	if e.Level() < LevelData {
		o.Damaged++
		return
	}
	if o.Newest == nil {
		m := e.Manifest
		o.Newest = &OverviewEntry{ID: e.ID, TakenAt: m.TakenAt, Revision: m.Revision, Oldest: max(m.CompactRevision, 1)}
	}
	if e.Drill != nil && (o.LastDrill == nil || e.Drill.At.After(*o.LastDrill)) {
		o.LastDrill, o.DrillMS = &e.Drill.At, e.Drill.TookMS
	}
}
