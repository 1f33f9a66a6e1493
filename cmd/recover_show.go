package cmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// showPlan prints a plan for people, on the error stream where the result is JSON.
func (r *recoverRun) showPlan(plan *recovery.Plan) error {
	out := r.io.Out
	if r.out == "json" {
		return nil
	}
	q := plan.Quorum
	fmt.Fprintf(out, "PLAN  %s  %s\n", plan.Operation, ui.Safe(planTitle(plan)))
	fmt.Fprintf(out, "quorum now %s, at worst %s, after %s\n", tallyText(q.Now), tallyText(q.Worst), tallyText(q.After))
	rows := make([][]string, len(plan.Steps))
	for i, s := range plan.Steps {
		rows[i] = []string{strconv.Itoa(i + 1), s.Text, tallyText(s.After)}
	}
	if err := ui.Table(out, []string{"STEP", "WHAT", "VOTERS AFTER"}, rows); err != nil {
		return err
	}
	for _, n := range plan.Notes {
		fmt.Fprintln(out, "note:", ui.Wrap(ui.Safe(n), len("note: "), ui.MaxColumns, len("note: ")))
	}
	if r.opts.dryRun {
		fmt.Fprintln(out, "nothing was changed")
	}
	return nil
}

// planTitle is "recover m3 of cluster 7b48afc4".
func planTitle(plan *recovery.Plan) string {
	var names []string
	for _, t := range plan.Member.Targets {
		names = append(names, t.Name)
	}
	return fmt.Sprintf("recover %s of cluster %s", strings.Join(names, " and "), plan.ClusterID)
}

// tallyText is "2 of 3 (can lose 0)".
func tallyText(t ops.Tally) string {
	if t.Tolerance < 0 {
		return fmt.Sprintf("%d of %d (no quorum)", t.Live, t.Voters)
	}
	return fmt.Sprintf("%d of %d (can lose %d)", t.Live, t.Voters, t.Tolerance)
}

// recoveryJSON is schema etcdops.recovery/v1: the last document of a run.
type recoveryJSON struct {
	Schema    string            `json:"schema"`
	Operation string            `json:"operation"`
	ClusterID ops.ClusterID     `json:"cluster_id"`
	TookMS    int64             `json:"took_ms"`
	Members   []recoveredMember `json:"members"`
	Backup    string            `json:"backup"` // what was taken; empty for none
	Quorum    ops.Tally         `json:"quorum"`
}

type recoveredMember struct {
	Name   string           `json:"name"`
	OldID  ops.MemberID     `json:"old_id"`
	ID     ops.MemberID     `json:"id"`
	Asides []recovery.Aside `json:"asides"`
}

// showResult tells what became of the cluster, as it is seen now.
func (r *recoverRun) showResult(ctx context.Context, journal *recovery.Journal, took time.Duration) error {
	seen, err := r.cluster.Observe(ctx)
	if err != nil {
		return err
	}
	proof, err := ops.CheckChange(seen, time.Now(), ops.CheckOptions{WhatIf: true})
	if err != nil {
		return err
	}
	result := recoveryJSON{
		Schema: "etcdops.recovery/v1", Operation: journal.Operation(), ClusterID: journal.Plan.ClusterID, TookMS: took.Milliseconds(),
		Members: []recoveredMember{}, Quorum: proof.Now,
	}
	if _, err := journal.Get("backup", &result.Backup); err != nil {
		return err
	}
	for _, t := range journal.Plan.Member.Targets {
		m := recoveredMember{Name: t.Name, OldID: t.Old.ID}
		if _, err := journal.Get("id:"+t.Name, &m.ID); err != nil {
			return err
		}
		if m.Asides, err = recovery.Asides(journal, t.Name); err != nil {
			return err
		}
		result.Members = append(result.Members, m)
	}
	if r.out == "json" {
		return r.progress.document(result)
	}
	return r.printResult(result, took)
}

func (r *recoverRun) printResult(result recoveryJSON, took time.Duration) error {
	out := r.io.Out
	fmt.Fprintf(out, "RECOVERED  %s, %s; hashes are equal, a write was acknowledged; took %s\n",
		result.ClusterID, tallyText(result.Quorum), took.Round(100*time.Millisecond))
	for _, m := range result.Members {
		fmt.Fprintf(out, "%s  is member %s now, was %s\n", ui.Safe(m.Name), m.ID, m.OldID)
		for _, as := range m.Asides {
			fmt.Fprintf(out, "%s  old data are kept in %s\n", ui.Safe(m.Name), ui.Safe(as.Path))
		}
	}
	if result.Backup != "" {
		fmt.Fprintln(out, "backup:", ui.Safe(result.Backup))
	}
	fmt.Fprintln(out, "next: etcdops health; once you are sure: etcdops recover clean "+result.Operation+r.opts.state.flag())
	return nil
}
