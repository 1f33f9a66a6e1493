package health

import "fmt"

func accessChecks() []Check {
	return []Check{{
		ID: "access.control", Title: "not everybody who reaches a member may read and write", Scope: ScopeMember,
		Source: "whether the handshake asks for a client certificate, and whether requests without a user are answered (AuthStatus would be a raft proposal)",
		Rule:   "warns where neither a certificate nor a user is needed; addresses on loopback are told only", From: FromUs,
		Cause:  "Neither --client-cert-auth with --trusted-ca-file nor authentication is on.",
		Danger: "Anybody on the network may read all keys, also Kubernetes' secrets, and delete them.",
		Fix: []string{
			"start the members with --client-cert-auth and --trusted-ca-file",
			"or turn authentication on: etcdops user add root; etcdops auth enable",
		},
		eval: evalAccess,
	}}
}

func evalAccess(v *view, _ Check) []Outcome {
	protected := v.authentication()
	return eachStatus(v, func(m *member, _ *StatusAnswer) Outcome {
		if protected {
			return Outcome{Message: "wants a user"}
		}
		open, own := "", true
		for _, e := range m.answered {
			if !e.WantsClient {
				open, own = e.URL, own && ownAddress(e.URL)
			}
		}
		switch {
		case open == "":
			return Outcome{Message: "wants a client certificate"}
		case own:
			return Outcome{Severity: SeverityInfo, Value: open, Message: "answers everybody on its own machine: neither certificate nor user is needed"}
		case !m.answersAnybody():
			return Outcome{Severity: SeverityUnknown, Message: "wants no client certificate; whether it wants a user was not seen"}
		}
		return Outcome{
			Severity: SeverityWarning, Value: open, Message: "answers everybody who reaches " + open + ": neither certificate nor user is needed",
			Next: "etcdops explain access.control",
		}
	})
}

// authentication reports whether any member was seen to want a user: it refused a request for it, or took a login.
func (v *view) authentication() bool {
	if v.facts.LoggedIn && len(v.facts.Endpoints) > 0 && v.reached() {
		return true
	}
	for i := range v.facts.Endpoints {
		e := &v.facts.Endpoints[i]
		failures := []*Failure{e.Connect.Failure, e.Linearizable.failed(), e.Serializable.failed()}
		for _, s := range e.Statuses {
			failures = append(failures, s.Failure)
		}
		for _, f := range failures {
			if f != nil && (f.Kind == KindAuth || f.Kind == KindDenied) {
				return true
			}
		}
	}
	return false
}

// answersAnybody reports whether a read was carried out.
func (m *member) answersAnybody() bool {
	for _, e := range m.answered {
		if e.Serializable.done() || e.Linearizable.done() {
			return true
		}
	}
	return false
}

func localChecks() []Check {
	return []Check{
		{
			ID: "disk.space", Title: "the members' disks have room", Scope: ScopeMember, Depth: DepthNormal,
			Source: "the file systems of data and WAL directory, of members on this machine", Rule: "percent of bytes or inodes that are free, fewer are worse",
			Limits: Limits{Warn: 20, Crit: 10}, Unit: "%", Fewer: true, From: FromUs,
			Cause:  "Backups, logs, images or the database itself fill the disk.",
			Danger: "etcd ends itself when it cannot write its log.",
			Fix:    []string{"find what fills it: du -xsh on the file system named", "never delete files of the data directory"},
			eval:   evalDisk,
		},
		{
			ID: "member.strict", Title: "the members check changes of the membership", Scope: ScopeMember, Depth: DepthNormal,
			Source: "command line, settings file or manifest, of members on this machine (no member tells it to others)",
			Rule:   "warns for --strict-reconfig-check=false", From: FromUs,
			Cause:  "The check was switched off, often for one change long ago.",
			Danger: "One member add or remove at the wrong moment takes the quorum away for good.",
			Fix:    []string{"remove --strict-reconfig-check=false and restart the member"},
			eval:   evalStrict,
		},
		{
			ID: "backup.age", Title: "there is a recent backup, and it was verified", Scope: ScopeCluster, Depth: DepthNormal,
			Source: "the backup repository: --repo, ETCDOPS_BACKUP_REPO, or the one of this machine's own backups",
			Rule: "intervals (--backup-interval) since the last good backup, or since what an archive behind it holds; critical without one; " +
				"warns too when some are damaged, or none was ever verified",
			Limits: Limits{Warn: 1.5, Crit: 3}, Unit: " intervals", From: FromUs,
			Cause:  "The schedule does not run, the storage is full or out of reach, or nobody verifies.",
			Danger: "What was written since the last backup is lost with the cluster; a backup that was never verified may hold nothing.",
			Fix: []string{
				"take one now, from any member: etcdops backup create",
				"see what is there and what is damaged: etcdops backup list",
				"verify what is there: etcdops backup verify; by restoring it: etcdops backup drill",
				"look at the log of the schedule (etcdops backup schedule): it tells what failed",
			},
			eval: evalBackup,
		},
	}
}

// localOf returns what this machine knows of a member that runs on it, nil for members elsewhere.
func (v *view) localOf(m *member) *LocalMember {
	for i := range v.facts.Local {
		l := &v.facts.Local[i]
		if l.Stopped {
			continue // what its configuration says of disks and flags is told by its own entry
		}
		for _, url := range l.ClientURLs {
			for _, own := range m.ClientURLs {
				if own == url && (l.Name == "" || l.Name == m.Name) {
					return l
				}
			}
		}
	}
	return nil
}

const elsewhere = "it does not run on this machine, and no member tells it to others"

// eachMember makes one outcome for every member that started, whether it answers or not.
func eachMember(v *view, fn func(*member) Outcome) []Outcome {
	var out []Outcome
	for _, m := range v.members {
		if m.listed && !m.Started() {
			continue
		}
		o := fn(m)
		o.Member = m.label
		out = append(out, o)
	}
	return out
}

func evalDisk(v *view, c Check) []Outcome {
	return eachMember(v, func(m *member) Outcome {
		l := v.localOf(m)
		if l == nil {
			return Outcome{Severity: SeverityUnknown, Message: elsewhere}
		}
		worst := Outcome{Severity: SeverityUnknown, Message: "its data directory is not known"}
		for i, d := range l.Disks {
			if o := c.judgeDisk(d); i == 0 || o.Severity > worst.Severity {
				worst = o
			}
		}
		return worst
	})
}

func (c Check) judgeDisk(d Disk) Outcome {
	if d.Problem != "" || d.Bytes == 0 {
		return Outcome{Severity: SeverityUnknown, Message: d.Path + ": " + d.Problem}
	}
	free, what := 100*float64(d.BytesFree)/float64(d.Bytes), "space"
	if d.Inodes > 0 {
		if inodes := 100 * float64(d.InodesFree) / float64(d.Inodes); inodes < free {
			free, what = inodes, "inodes"
		}
	}
	shown := decimal(float64(int(free))) + "%"
	return c.graded(free, shown, fmt.Sprintf("%s of the %s of the disk of %s is free", shown, what, d.Path), "find what fills it; etcdops explain disk.space")
}

func evalStrict(v *view, _ Check) []Outcome {
	return eachMember(v, func(m *member) Outcome {
		l := v.localOf(m)
		switch {
		case l == nil:
			return Outcome{Severity: SeverityUnknown, Message: elsewhere}
		case l.StrictReconfig == nil:
			return Outcome{Severity: SeverityUnknown, Message: l.Source + " does not tell"}
		case *l.StrictReconfig:
			return Outcome{Message: "checks changes of the membership (" + l.Source + ")"}
		}
		return Outcome{
			Severity: SeverityWarning, Value: "off", Message: "runs with --strict-reconfig-check=false (" + l.Source + ")",
			Next: "etcdops explain member.strict",
		}
	})
}
