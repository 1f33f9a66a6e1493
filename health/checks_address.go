package health

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

func addressChecks() []Check {
	return []Check{
		{
			ID: "membership.loopback", Title: "no member advertises an address that only itself can reach", Scope: ScopeMember, Source: fromMemberList,
			Rule: "warns in a cluster of more than one member for localhost, loopback and unspecified addresses; told only, when every member is on loopback: a cluster on one machine",
			From: FromUs,
			Cause: "--advertise-client-urls or --initial-advertise-peer-urls was left at its default, or copied from the " +
				"listen address.",
			Danger: "Clients that ask for the endpoints are sent to their own machine, where nobody, or another member, answers.",
			Fix: []string{
				"client URLs: restart the member with --advertise-client-urls set to an address that others reach",
				"peer URLs: etcdops member update ID --peer-urls=URL",
			},
			eval: evalLoopback,
		},
		{
			ID: "membership.plaintext", Title: "every URL that leaves the machine uses TLS", Scope: ScopeMember, Source: fromMemberList,
			Rule: "warns for http:// client and peer URLs; addresses on loopback are left out", From: FromUs,
			Cause:  "The member was set up without certificates.",
			Danger: "Keys, values and passwords cross the network readable, and anybody who reaches the peer port can join in.",
			Fix:    []string{"set --cert-file, --key-file, --trusted-ca-file and --client-cert-auth, and the --peer- flags of the same names"},
			eval:   evalPlaintext,
		},
	}
}

// ownAddress reports whether a URL's host can only be reached from its own machine, or is no address to connect to.
func ownAddress(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	if strings.HasPrefix(u.Scheme, "unix") || strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}

func addressesOf(m ops.Member) []string { return slices.Concat(m.ClientURLs, m.PeerURLs) }

func evalLoopback(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	if onOneMachine(v.list.Members) {
		o := Outcome{Message: "a single member may advertise any address"}
		if len(v.list.Members) > 1 {
			o.Severity = SeverityInfo
			o.Message = "all members advertise addresses of their own machine: the whole cluster is on one"
		}
		return []Outcome{o}
	}
	var out []Outcome
	for _, m := range v.list.Members {
		o := Outcome{Member: v.label(m.ID), Message: "advertises addresses that others can reach"}
		if at := slices.IndexFunc(addressesOf(m), ownAddress); at >= 0 && len(v.list.Members) > 1 {
			o.Severity, o.Value = SeverityWarning, addressesOf(m)[at]
			o.Message = "advertises " + o.Value + ", which no other machine can reach"
			o.Next = "restart it with --advertise-client-urls=URL; etcdops explain membership.loopback"
		}
		out = append(out, o)
	}
	return out
}

// onOneMachine reports whether no member advertises anything that another machine could reach.
func onOneMachine(members []ops.Member) bool {
	for _, m := range members {
		if slices.ContainsFunc(addressesOf(m), func(u string) bool { return !ownAddress(u) }) {
			return false
		}
	}
	return true
}

func evalPlaintext(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	plain := func(u string) bool { return strings.HasPrefix(u, "http://") && !ownAddress(u) }
	var out []Outcome
	for _, m := range v.list.Members {
		o := Outcome{Member: v.label(m.ID), Message: "no plaintext beyond its own machine"}
		if at := slices.IndexFunc(addressesOf(m), plain); at >= 0 {
			o.Severity, o.Value = SeverityWarning, addressesOf(m)[at]
			o.Message = o.Value + " is not encrypted"
			o.Next = "etcdops explain membership.plaintext"
		}
		out = append(out, o)
	}
	return out
}
