package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

func peerChecks() []Check {
	return []Check{
		{
			ID: "peer.roundtrip", Title: "the members reach each other quickly", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_network_peer_round_trip_time_seconds to each member that answers",
			Rule:   "p99 in milliseconds; a heartbeat interval, which is not visible from outside, is 100 by default",
			Limits: Limits{Warn: 100, Crit: 150}, Unit: " ms", From: FromMixin,
			Cause:  "A slow, lossy or saturated network between the members, or members in distant regions.",
			Danger: "Heartbeats come late, followers start elections, and every write waits for the slowest of a majority.",
			Fix: []string{
				"measure the way between the hosts: ping, mtr",
				"distant members: raise --heartbeat-interval to the round trip and --election-timeout to ten times that, on all of them",
			},
			eval: evalRoundTrip,
		},
		{
			ID: "peer.active", Title: "every member is connected to its peers", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_network_known_peers, etcd_network_active_peers",
			Rule:   "warns for a member that answers here and is not connected to one that asks here too; members that are down are left to reachability", From: FromMixin,
			Cause:  "A firewall, a route or peer certificates between two members that work otherwise.",
			Danger: "A cut between two members makes elections and lag likely, although every client sees both.",
			Fix:    []string{"test the peer port from one host to the other: nc -vz HOST 2380", "read the log of both for \"rafthttp\" and \"rejected connection\""},
			eval:   evalActivePeers,
		},
		{
			ID: "peer.failures", Title: "messages to the peers arrive", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_network_peer_sent_failures_total to members that answer",
			Rule:   "failures a second", Limits: Limits{Warn: 0.01}, Unit: "/s", From: FromMixin,
			Cause:  "Packets are lost or connections reset between two members.",
			Danger: "Replication stalls and elections follow.",
			Fix:    []string{"ss -ti on both hosts: look for retransmissions", "look for a firewall or NAT that drops idle connections"},
			eval: func(v *view, c Check) []Outcome {
				return eachWindow(v, func(w window) Outcome {
					if !slices.ContainsFunc(w.now, func(s Sample) bool { return s.Name == "etcd_network_peer_sent_failures_total" }) {
						return Outcome{Value: "0/s", Message: "no message to a peer ever failed"} // the counter begins with the first
					}
					return c.rate(w, "etcd_network_peer_sent_failures_total", "messages to peers failed", "etcdops explain peer.failures",
						func(s Sample) bool { return v.works(s.label("To")) })
				})
			},
		},
	}
}

func stabilityChecks() []Check {
	return []Check{
		{
			ID: "leader.changes", Title: "the leadership is stable", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_server_leader_changes_seen_total, since its start and over the window",
			Rule:   "changes within 15 minutes", Limits: Limits{Warn: 4}, Unit: "", From: FromMixin,
			Cause:  "Slow disks, a slow or lossy network, or an overloaded leader.",
			Danger: "During each election nothing is written: some hundred milliseconds to seconds for every client.",
			Fix:    []string{"look at disk.fsync and peer.roundtrip: etcdops health --deep --window 1m", "look at the CPU of the leader's host"},
			eval:   evalLeaderChanges,
		},
		{
			ID: "leader.heartbeats", Title: "the leader's heartbeats are sent in time", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_server_heartbeat_send_failures_total", Rule: "warns when it rises", From: FromMixin,
			Cause:  "The leader is overloaded: its disk is slow, or it gets too little CPU.",
			Danger: "Followers that hear no heartbeat start an election.",
			Fix:    []string{"look at the disk and CPU of the leader's host", "move the leadership away meanwhile: etcdops move-leader ID"},
			eval: ofWindow(func(c Check, w window) Outcome {
				return c.rising(w, "heartbeats were late", "look at its disk and CPU; etcdops explain leader.heartbeats",
					"etcd_server_heartbeat_send_failures_total")
			}),
		},
	}
}

// works reports whether the member of a hexadecimal ID, as metrics name it, answers.
func (v *view) works(hex string) bool {
	id, err := ops.ParseMemberID(hex)
	if err != nil {
		return false
	}
	m := v.byID(id)
	return m != nil && m.last() != nil
}

func evalRoundTrip(v *view, c Check) []Outcome {
	if len(v.members) == 1 {
		return []Outcome{{Message: "a single member has no peer"}}
	}
	return eachWindow(v, func(w window) Outcome {
		worst := Outcome{Severity: SeverityUnknown, Message: "no round trip to its peers was measured " + w.over()}
		first := true
		peers := histogram(w.before, w.now, "etcd_network_peer_round_trip_time_seconds_bucket", "To")
		for _, to := range sortedKeys(peers) {
			seconds, total := quantile99(peers[to])
			if total == 0 || !v.works(to) {
				continue
			}
			id, err := ops.ParseMemberID(to)
			if err != nil {
				continue
			}
			ms := seconds * 1000
			o := c.graded(ms, decimal(ms)+" ms", fmt.Sprintf("p99 of the round trip to %s is %s ms (%.0f %s)", v.label(id), decimal(ms), total, w.over()),
				"look at the network between them; etcdops explain peer.roundtrip")
			if first || o.Severity > worst.Severity {
				worst, first = o, false
			}
		}
		return worst
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func evalActivePeers(v *view, _ Check) []Outcome {
	return eachMetrics(v, func(m *member, ms Metrics) Outcome {
		active := map[string]bool{}
		ms.each("etcd_network_active_peers", func(s Sample) { active[s.label("Remote")] = s.Value > 0 })
		var missing []string
		seen := false
		ms.each("etcd_network_known_peers", func(s Sample) {
			seen = true
			remote := s.label("Remote")
			id, err := ops.ParseMemberID(remote)
			if err != nil || id == m.ID || s.Value <= 0 || active[remote] || !v.works(remote) {
				return
			}
			missing = append(missing, v.label(id))
		})
		switch {
		case !seen && len(v.members) == 1:
			return Outcome{Message: "a single member has no peer"}
		case !seen:
			return lacks("etcd_network_known_peers")
		case len(missing) == 0:
			return Outcome{Message: "is connected to every peer that answers"}
		}
		slices.Sort(missing)
		names := strings.Join(missing, ", ")
		return Outcome{
			Severity: SeverityWarning, Value: plural(len(missing), "peer"), Message: "is not connected to " + names + ", which answers here",
			Next: "test the peer port between them; etcdops explain peer.active",
		}
	})
}

// leaderWindow is the time within which changes of the leadership are counted, in seconds.
const leaderWindow = 15 * 60

func evalLeaderChanges(v *view, c Check) []Outcome {
	const metric = "etcd_server_leader_changes_seen_total"
	return eachMetrics(v, func(m *member, ms Metrics) Outcome {
		total, known := ms.value(metric)
		if !known {
			return lacks(metric)
		}
		if total < c.Limits.Warn {
			return Outcome{Value: decimal(total), Message: decimal(total) + " changes since it started"}
		}
		w, reason := v.windowOf(m)
		if reason != "" {
			return Outcome{
				Severity: SeverityUnknown, Value: decimal(total), Message: decimal(total) + " changes since it started; when, one look cannot tell",
				Next: "etcdops health --deep --window 15m",
			}
		}
		by, _ := increase(w.before, w.now, metric, nil)
		by *= min(1, leaderWindow/w.seconds)
		o := c.graded(by, decimal(by), decimal(by)+" changes of the leader "+w.over(), "look at disks and network; etcdops explain leader.changes")
		if o.Severity == SeverityOK && w.seconds < leaderWindow && by > 0 {
			o.Severity = SeverityUnknown
			o.Message += ", " + decimal(total) + " since it started: a longer window tells"
			o.Next = "etcdops health --deep --window 15m"
		}
		return o
	})
}
