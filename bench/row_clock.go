package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/clock"
)

// clockBound is the widest bound that an audit tells of a member's clock against this machine's.
const clockBound = "bound, give or take"

func clockProbing() experiment {
	return clockAudit("clock-probing", "clocks of three members, by their peer URLs",
		"`etcdops clock audit` of three idle members of upstream's, ten readings each. Beside it what a careful person can do: curl\n"+
			"each /raft/probing once and note the time before and after, which bounds the offset by half of the time that curl took.",
		31, []bound{atMost(wallTime, sideOps, 50), atMost(clockBound, sideOps, 0.1)},
		func(m *member) string { return m.flag("--initial-advertise-peer-urls") + "/raft/probing" }, 0, "--source", "probing", "--samples", "10")
}

func clockDate() experiment {
	return clockAudit("clock-date", "clocks of three members, by the Date of their client URLs",
		"The same by the Date header alone, which tells whole seconds: where the peer URLs want a certificate that is not there.",
		5, []bound{atMost(wallTime, sideOps, 3000), atMost(clockBound, sideOps, 50)},
		func(m *member) string { return m.client + "/version" }, time.Second, "--source", "date")
}

// sideCurl is a person with curl.
const sideCurl = "curl"

// clockAudit measures audits with some flags; the other side asks each member's URL, whose answer tells the time cut down
// to a quantum.
func clockAudit(name, title, about string, rounds int, bounds []bound, url func(*member) string, quantum time.Duration, flags ...string) experiment {
	return experiment{
		name: name, title: title, about: about,
		sides: []string{sideCurl, sideOps}, metrics: []metric{{wallTime, "ms"}, {clockBound, "ms"}},
		bounds: bounds, rounds: rounds, warmups: 1,
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			c, err := l.startCluster(ctx, sideEtcd, 3)
			if err != nil {
				return nil, err
			}
			l.defers(c.stop)
			args := append([]string{"clock", "audit", "-w", "json", "--endpoints", strings.Join(c.endpoints(), ",")}, flags...)
			return func(ctx context.Context, side string) (sample, error) {
				if side == sideCurl {
					return l.curlClocks(ctx, c, url, quantum)
				}
				out, err := os.Create(filepath.Join(c.dir, "audit.json"))
				if err != nil {
					return nil, err
				}
				used, err := l.command(ctx, out, l.client(side), args...)
				if err := errors.Join(err, out.Close()); err != nil {
					return nil, err
				}
				widest, err := widestBound(out.Name())
				return sample{wallTime: milliseconds(used.Wall), clockBound: widest}, err
			}, nil
		},
	}
}

// curlClocks asks each member once.
func (l *lab) curlClocks(ctx context.Context, c *cluster, url func(*member) string, quantum time.Duration) (sample, error) {
	var sum, longest time.Duration
	for _, m := range c.members {
		used, err := l.command(ctx, nil, "curl", "-sSi", url(m))
		if err != nil {
			return nil, err
		}
		sum, longest = sum+used.Wall, max(longest, used.Wall)
	}
	return sample{wallTime: milliseconds(sum), clockBound: milliseconds(longest+quantum) / 2}, nil
}

// flag returns the value of one of the member's flags.
func (m *member) flag(name string) string { return m.args[slices.Index(m.args, name)+1] }

// widestBound reads a report and returns the widest bound of a clock in it, in milliseconds.
func widestBound(file string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var r clock.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return 0, err
	}
	widest := 0.0
	for _, c := range r.Clocks {
		if c.Local == nil {
			return 0, errors.New(c.Name + ": " + c.Cause)
		}
		widest = max(widest, float64(c.Local.HiNS-c.Local.LoNS)/2e6)
	}
	return widest, nil
}
