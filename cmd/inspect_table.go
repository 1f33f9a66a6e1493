package cmd

import (
	"fmt"
	"strings"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// tailShown is how many entries beyond commit a table lists; the JSON document has more.
const tailShown = 10

// printInspections writes what was found at each path, the verdict first.
func printInspections(s *ui.Streams, infos []datadir.Info) error {
	for i := range infos {
		if i > 0 {
			fmt.Fprintln(s.Out)
		}
		printInspection(s, &infos[i])
	}
	return nil // the writer keeps its error
}

func printInspection(s *ui.Streams, i *datadir.Info) {
	word := strings.ToUpper(string(i.State))
	fmt.Fprintln(s.Out, s.Paint(stateColor(i.State), word)+"  "+oneLine(i.Path))
	for _, p := range i.Problems {
		label := map[datadir.Severity]string{datadir.SeverityNote: "note", datadir.SeverityWarning: "WARN", datadir.SeverityDamage: "LOST"}[p.Severity]
		text := p.Text
		if p.Where != "" {
			text = p.Where + ": " + text
		}
		field(s, label, text)
	}
	field(s, string(i.Kind), inspectedLabel(i))
	if i.WAL != nil && len(i.WAL.Segments) > 0 {
		printLog(s, i.WAL)
	}
	if i.DB != nil && i.DB.PageSize > 0 {
		printDatabase(s, i.DB)
	}
	printInspectedMembers(s, i)
	if i.WAL != nil {
		printTail(s, i.WAL)
	}
}

// inspectedLabel says whose data it is.
func inspectedLabel(i *datadir.Info) string {
	var parts []string
	if i.MemberID != 0 {
		parts = append(parts, strings.TrimSpace(i.Name+" ("+i.MemberID.String()+") of cluster "+i.ClusterID.String()))
	}
	if i.Version != "" {
		parts = append(parts, "etcd "+i.Version)
	}
	return strings.Join(append(parts, took(i.TookMS)), ", ")
}

func stateColor(state datadir.State) ui.Color {
	switch state {
	case datadir.StateClean:
		return ui.ColorGreen
	case datadir.StateTorn:
		return ui.ColorYellow
	case datadir.StateDamaged, datadir.StateUnreadable:
	}
	return ui.ColorRed
}

// field writes a labelled text, wrapped below itself.
func field(s *ui.Streams, label, text string) {
	const indent = 11
	fmt.Fprintf(s.Out, "%-*s%s\n", indent, label, ui.Wrap(oneLine(text), indent, ui.MaxColumns, indent))
}

func printLog(s *ui.Streams, w *datadir.WAL) {
	text := fmt.Sprintf("entries %d to %d (last term %d), commit %d, hard state term %d", w.FirstIndex, w.LastIndex, w.LastTerm, w.Commit, w.Term)
	if w.FirstIndex == 0 {
		text = fmt.Sprintf("no entries after the snapshot of entry %d (term %d), commit %d, hard state term %d", w.LastIndex, w.LastTerm, w.Commit, w.Term)
	}
	field(s, "log", text)
	var size int64
	count := map[datadir.SegmentState]int{}
	for _, segment := range w.Segments {
		size += segment.Size
		count[segment.State]++
	}
	var states strings.Builder
	for _, state := range []datadir.SegmentState{datadir.SegmentOK, datadir.SegmentTorn, datadir.SegmentDiscarded, datadir.SegmentDamaged, datadir.SegmentUnread} {
		if n := count[state]; n > 0 {
			fmt.Fprintf(&states, ", %d %s", n, state)
		}
	}
	field(s, "segments", fmt.Sprintf("%d, %s%s", len(w.Segments), health.Bytes(size), states.String()))
}

func printDatabase(s *ui.Streams, d *datadir.Database) {
	text := fmt.Sprintf("%s, %s in use", health.Bytes(d.Size), health.Bytes(d.InUse))
	if d.Revision > 0 {
		text += fmt.Sprintf(", revision %d (compacted %d), %d keys, %d records", d.Revision, d.CompactRevision, d.Keys, d.Records)
	}
	field(s, "database", text+fmt.Sprintf(", log applied to %d", d.ConsistentIndex))
	if d.Hash != nil {
		field(s, "hash", fmt.Sprintf("%d at revision %d, compacted %d", d.Hash.Hash, d.Hash.Revision, d.Hash.CompactRevision))
	}
	if d.Checksum != nil && *d.Checksum {
		field(s, "sha256", "right: "+d.SHA256)
	}
	if d.Leases > 0 || d.AuthEnabled || len(d.Users) > 0 {
		auth := "off"
		if d.AuthEnabled {
			auth = "on"
		}
		field(s, "auth", fmt.Sprintf("%s, %d users, %d roles; %d leases", auth, len(d.Users), len(d.Roles), d.Leases))
	}
	for _, alarm := range d.Alarms {
		field(s, "alarm", alarm.Alarm+" of member "+alarm.Member.String())
	}
}

func printInspectedMembers(s *ui.Streams, i *datadir.Info) {
	for n, m := range i.Members {
		label := ""
		if n == 0 {
			label = "members"
		}
		role := "voter"
		if m.Learner {
			role = "learner"
		}
		name := m.Name
		if name == "" {
			name = "(never started)"
		}
		field(s, label, name+" "+m.ID.String()+" "+role+" "+strings.Join(m.PeerURLs, ","))
	}
	if len(i.Removed) > 0 {
		var ids []string
		for _, id := range i.Removed {
			ids = append(ids, id.String())
		}
		field(s, "removed", strings.Join(ids, " "))
	}
}

// printTail lists what stands beyond commit.
func printTail(s *ui.Streams, w *datadir.WAL) {
	n := w.Tail.Len()
	if n == 0 {
		return
	}
	field(s, "beyond", fmt.Sprintf("%d entries above the last one that is known to be committed; clients may have been told of them:", n))
	for i, e := range w.Tail.Entries {
		if i == tailShown {
			break
		}
		field(s, "", fmt.Sprintf("%d  %s", e.Index, e.What))
	}
	if n > tailShown {
		field(s, "", fmt.Sprintf("and %d more (-w json lists %d)", n-tailShown, len(w.Tail.Entries)))
	}
}
