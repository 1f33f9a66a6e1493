package cmd

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// promFamily is one metric with its samples.
type promFamily struct {
	name, help string
	samples    []string
}

// promPage collects families in the order in which they are first named: the text format wants each in one piece.
type promPage struct{ families []*promFamily }

// add puts down a sample; labels are pairs of name and value.
func (p *promPage) add(name, help string, value float64, labels ...string) {
	var f *promFamily
	for _, have := range p.families {
		if have.name == name {
			f = have
		}
	}
	if f == nil {
		f = &promFamily{name: name, help: help}
		p.families = append(p.families, f)
	}
	var pairs []string
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+escape.Replace(ui.Safe(labels[i+1]))+`"`)
	}
	f.samples = append(f.samples, name+"{"+strings.Join(pairs, ",")+"} "+strconv.FormatFloat(value, 'g', -1, 64))
}

// promSeverity numbers severities as plugins do: an alert can say "at least", and unknown is told apart by its own number.
func promSeverity(s health.Severity) float64 { return float64(nagiosCode(s)) }

// printHealthProm writes Prometheus' text format, for a textfile collector. What is not known has no sample.
func printHealthProm(s *ui.Streams, results []result) error {
	var page promPage
	for _, r := range results {
		page.cluster(r)
	}
	_, err := s.Out.Write(page.text())
	return err
}

// text is the page in Prometheus' text format.
func (p *promPage) text() []byte {
	var out bytes.Buffer
	for _, f := range p.families {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s gauge\n%s\n", f.name, f.help, f.name, strings.Join(f.samples, "\n"))
	}
	return out.Bytes()
}

func (p *promPage) cluster(r result) {
	id := ""
	if r.report.ClusterID != 0 {
		id = r.report.ClusterID.String()
	}
	at := []string{"context", r.name, "cluster", id}
	with := func(labels ...string) []string { return append(append([]string{}, at...), labels...) }
	p.add("etcdops_health_severity", "Verdict: 0 ok, 1 warning, 2 critical, 3 unknown.", promSeverity(r.severity()), at...)
	if r.err != nil {
		return
	}
	p.add("etcdops_health_timestamp_seconds", "When the facts were taken.", float64(r.report.TakenAt.UnixMilli())/1000, at...)
	p.add("etcdops_health_duration_seconds", "How long it took to collect them.", micros(r.report.TookMS/1000), at...)
	if r.report.Available != nil {
		p.add("etcdops_health_available", "1 when a majority of the voters works together.", truth(*r.report.Available), at...)
	}
	if v := r.report.Votes; v != nil {
		p.add("etcdops_health_voters", "Voters in the member list.", float64(v.Total), at...)
		p.add("etcdops_health_voters_healthy", "Voters that work.", float64(v.Healthy), at...)
		p.add("etcdops_health_tolerance", "Voters that may still fail; below 0 the quorum is lost.", float64(v.Tolerance), at...)
	}
	for _, c := range r.report.Checks {
		if c.Skipped == "" {
			p.add("etcdops_health_check", "Outcome of a check: 0 ok, 1 warning, 2 critical, 3 unknown.", promSeverity(c.Severity), with("check", c.ID)...)
		}
	}
	for _, m := range r.report.Members {
		p.member(m, with("member", m.Name, "id", m.ID.String()))
	}
}

func (p *promPage) member(m health.MemberReport, at []string) {
	p.add("etcdops_health_member_up", "1 when the member answers, has a leader, and lets linearizable reads through.", truth(m.State == health.StateOK), at...)
	if m.Lag != nil {
		p.add("etcdops_health_member_lag_entries", "Log entries behind the leader.", float64(*m.Lag), at...)
	}
	if m.DBSize != nil {
		p.add("etcdops_health_member_db_bytes", "Size of the database file.", float64(*m.DBSize), at...)
	}
	if m.DBInUse != nil {
		p.add("etcdops_health_member_db_in_use_bytes", "Part of the database file that holds data.", float64(*m.DBInUse), at...)
	}
	if m.DBQuota != nil {
		p.add("etcdops_health_member_quota_bytes", "Quota of the database.", float64(*m.DBQuota), at...)
	}
	if m.ReadMS != nil {
		p.add("etcdops_health_member_read_seconds", "The slower of a linearizable and a serializable read.", micros(*m.ReadMS/1000), at...)
	}
	if m.Clock != nil {
		p.add("etcdops_health_member_clock_offset_seconds", "Middle of the bounds of how far the clock is from the middle one of all.",
			float64(m.Clock.Offset.LoNS+m.Clock.Offset.HiNS)/2e9, at...)
		p.add("etcdops_health_member_clock_error_seconds", "Half the width of these bounds.",
			float64(m.Clock.Offset.HiNS-m.Clock.Offset.LoNS)/2e9, at...)
	}
	if m.CertExpires != nil {
		p.add("etcdops_health_member_certificate_expiry_seconds", "When the certificate that clients are shown ends.", float64(m.CertExpires.Unix()), at...)
	}
}

// micros rounds seconds to what was measured.
func micros(seconds float64) float64 { return math.Round(seconds*1e6) / 1e6 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
