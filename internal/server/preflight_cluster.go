package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/etcdops/etcdops/ops"
)

// checkOwner refuses a data directory whose members have nothing in common with --initial-cluster. Upstream ignores that
// flag once a member has started, and would run the other cluster's data under this one's name.
//
// One member alone under its old name may have moved to a new address, which upstream allows: that is a warning.
func checkOwner(cfg *embed.Config, state dirState) (notes []string, err error) {
	own := state.own()
	if !cfg.FlagsExplicitlySet["initial-cluster"] || cfg.ForceNewCluster || own == nil {
		return nil, nil
	}
	configured, err := types.NewURLsMap(cfg.InitialCluster)
	if err != nil {
		return nil, usageError("ETO-3004", "check settings", "", fmt.Errorf("--initial-cluster: %w", err),
			"--initial-cluster=NAME=http://ADDRESS:2380,... with one entry a member")
	}
	known := map[string]bool{}
	for _, m := range state.members {
		for _, u := range m.PeerURLs {
			known[u] = true
		}
	}
	if slices.ContainsFunc(configured.URLs(), func(u string) bool { return known[u] }) {
		return nil, nil
	}
	facts := fmt.Sprintf("it belongs to member %q (%s) of cluster %s at %s, not to %s",
		own.Name, state.member, state.cluster, strings.Join(slices.Sorted(maps.Keys(known)), ", "), cfg.InitialCluster)
	if len(configured) == 1 && len(state.members) == 1 && own.Name == cfg.Name {
		return []string{absolute(cfg.Dir) + ": " + facts + "; starting it as it is"}, nil
	}
	return nil, refusal("ETO-3032", cfg.Dir, errors.New(facts),
		"check --data-dir; if it is the right one, leave --initial-cluster out: it counts at the first start only")
}

// checkInitialCluster finds contradictions in the settings of a first start. Names of hosts are left to upstream, which
// resolves them.
func checkInitialCluster(cfg *embed.Config) error {
	if !isStatic(cfg) {
		return nil
	}
	members, err := types.NewURLsMap(cfg.InitialCluster)
	if err != nil {
		return clusterError(fmt.Errorf("--initial-cluster: %w", err), "--initial-cluster=NAME=http://ADDRESS:2380,... with one entry a member")
	}
	own, listed := members[cfg.Name]
	if !listed {
		return clusterError(fmt.Errorf("--initial-cluster does not list this member, %q", cfg.Name),
			fmt.Sprintf("add %s to --initial-cluster, or set --name to one of %s",
				cfg.InitialClusterFromName(cfg.Name), quoteList(slices.Sorted(maps.Keys(members)))))
	}
	seen := map[string]string{}
	for _, memberName := range slices.Sorted(maps.Keys(members)) {
		for _, u := range members[memberName] {
			if other, twice := seen[u.String()]; twice {
				return clusterError(fmt.Errorf("--initial-cluster gives %s to %s and to %s", u.String(), other, memberName),
					"each member has URLs of its own")
			}
			seen[u.String()] = memberName
		}
	}
	return checkAdvertised(cfg, own)
}

// checkAdvertised refuses advertised peer URLs other than those that the initial cluster gives this member.
func checkAdvertised(cfg *embed.Config, listed types.URLs) error {
	advertised := types.URLs(cfg.AdvertisePeerUrls).StringSlice()
	wanted := listed.StringSlice()
	slices.Sort(advertised)
	slices.Sort(wanted)
	if cfg.ClusterState != embed.ClusterStateFlagNew || slices.Equal(advertised, wanted) || hasHostNames(cfg.AdvertisePeerUrls) || hasHostNames(listed) {
		return nil
	}
	return clusterError(fmt.Errorf("--initial-cluster gives %s the URLs %s, but it advertises %s",
		cfg.Name, strings.Join(wanted, ","), strings.Join(advertised, ",")),
		"--initial-advertise-peer-urls="+strings.Join(wanted, ","))
}

// isStatic reports whether the settings list the members, as opposed to finding them by DNS or discovery.
func isStatic(cfg *embed.Config) bool {
	return cfg.DNSCluster == "" && len(cfg.DiscoveryCfg.Endpoints) == 0
}

func hasHostNames(urls []url.URL) bool {
	return slices.ContainsFunc(urls, func(u url.URL) bool { return net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost" })
}

func clusterError(err error, hint string) error {
	return usageError("ETO-3004", "check settings", "", err, hint)
}

// checkDiscovery refuses to start when no endpoint of the discovery service accepts a connection: upstream would make
// the data directory and then try without end.
func checkDiscovery(ctx context.Context, cfg *embed.Config) error {
	discovery := cfg.DiscoveryCfg
	var failures []error
	for _, endpoint := range discovery.Endpoints {
		err := dialEndpoint(ctx, endpoint, discovery.DialTimeout)
		if err == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", endpoint, err))
	}
	if len(failures) == 0 {
		return nil
	}
	return &ops.HintError{
		Code: "ETO-3041", Class: ops.ClassUnreachable, Op: "reach the discovery service", Err: joined(failures),
		Hint: "etcdops health --endpoints " + strings.Join(discovery.Endpoints, ","),
	}
}
