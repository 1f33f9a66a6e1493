package cmd

import (
	"slices"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

// lookStrict fills in which members check changes by themselves, as far as this machine shows it: of members that run
// here, or that a manifest here describes.
func lookStrict(o *ops.Observation) {
	servers := config.LocalServers("")
	for i := range o.Members {
		m := &o.Members[i]
		for _, s := range servers {
			if s.Strict == nil || s.Name != "" && s.Name != m.Name || !slices.ContainsFunc(s.ClientURLs, func(u string) bool { return slices.Contains(m.ClientURLs, u) }) {
				continue
			}
			m.Strict, m.StrictFrom = ops.StrictOff, s.Source
			if *s.Strict {
				m.Strict = ops.StrictOn
			}
		}
		if m.ID == o.Leader {
			o.Strict = m.Strict
		}
	}
}
