package recovery

import (
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// clients lists where members of the old cluster would answer.
func (f RebuildFacts) clients() []string {
	var out []string
	for _, c := range f.Candidates {
		if c.Info == nil {
			continue
		}
		for _, m := range c.Info.Members {
			out = append(out, m.ClientURLs...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// node finds what is known of a member's machine.
func (f RebuildFacts) node(name string) *NodeFacts {
	i := slices.IndexFunc(f.Nodes, func(n NodeFacts) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Nodes[i]
}

// onMachines takes what the drivers tell of the members' machines, and refuses directories of another cluster. Without
// drivers the plan can be read, not carried out.
func (p *RebuildPlan) onMachines(facts RebuildFacts, cluster ops.ClusterID) error {
	for i := range p.Members {
		m := &p.Members[i]
		n := facts.node(m.Name)
		if n == nil {
			continue
		}
		m.Via = n.Via
		if n.Error != "" || n.Survey == nil {
			return rebuildRefusal(CodeNoDriver, m.Name, "--via "+m.Name+"=process:FILE", "its machine cannot be looked at: %s", n.Error)
		}
		if s := n.Status; s != nil && s.ClusterID != 0 && cluster != 0 && s.ClusterID != cluster {
			return rebuildRefusal(CodeForeign, m.Name, "etcdops inspect shows whose it is; name the right machine with --via", "its directory holds data of another cluster, %s", s.ClusterID)
		}
		if s := n.Status; s != nil && s.Running {
			return rebuildRefusal(CodeRunning, m.Name, "stop it and keep it from starting, then plan again", "process %d runs on its directory", s.PID)
		}
		if dirs := n.Survey.Dirs; len(dirs) > 0 {
			m.DataDir, m.DataMount, m.UID, m.GID = dirs[0].Path, dirs[0].Mount, dirs[0].UID, dirs[0].GID
			m.WALDir, m.WALMount = "", false
			if len(dirs) > 1 {
				m.WALDir, m.WALMount = dirs[1].Path, dirs[1].Mount
			}
		}
		if len(m.ClientURLs) == 0 {
			m.ClientURLs = splitList(n.Survey.Setting("advertise-client-urls"))
		}
	}
	return nil
}

// member is the plan in the terms of a recovery of members, which the joining is.
func (p *RebuildPlan) member(facts RebuildFacts, r *ranking) *MemberPlan {
	out := &MemberPlan{Membership: ops.Membership{Members: []ops.Member{}}, DBSize: r.candidates[r.seed].Info.DB.Size}
	for _, m := range p.Members {
		t := Target{Name: m.Name, PeerURLs: m.PeerURLs, Via: m.Via, SSHConfig: p.SSHConfig, Dirs: []string{m.DataDir}, Files: []string{}}
		t.Old.Name, t.Old.ClientURLs = m.Name, m.ClientURLs
		if m.WALDir != "" {
			t.Dirs = append(t.Dirs, m.WALDir)
		}
		if n := facts.node(m.Name); n != nil && n.Survey != nil {
			t.Driver, t.Why, t.Manual, t.Files = n.Survey.Driver, n.Survey.Why, n.Survey.Manual, n.Survey.Files
		}
		out.Targets = append(out.Targets, t)
	}
	return out
}

// splitList reads a setting that lists URLs.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}
