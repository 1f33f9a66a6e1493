package cmd

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/internal/ui"
)

// announce tells the manager and the user that the member serves: a banner on a terminal, a line of the log elsewhere.
func (a *app) announce(member *server.Server, settings *server.Settings) {
	id, cluster := member.IDs()
	notifyManager(fmt.Sprintf("READY=1\nSTATUS=serving clients at %s, member %s of cluster %s",
		joinURLs(settings.Config.AdvertiseClientUrls), id, cluster))
	if a.io.ErrTTY && settings.Additions.Banner {
		writeBanner(a.io.Err, settings, id.String(), cluster.String())
		return
	}
	member.Log().Info("etcdops is ready", "version", readVersion().Version, "member", id.String(), "cluster", cluster.String(),
		"name", settings.Config.Name, "clients", joinURLs(settings.Config.ListenClientUrls), "data-dir", settings.Config.Dir)
}

// writeBanner says where to connect and what to type next.
func writeBanner(w io.Writer, settings *server.Settings, id, cluster string) {
	cfg := settings.Config
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		dir = cfg.Dir
	}
	flags := connectFlags(cfg)
	fmt.Fprintf(w, `
  etcd %s is ready: member %s (%s) of cluster %s
    clients  %s  (%s)
    peers    %s  (%s)
    data     %s
    next     etcdops%s health
             etcdops%s put greeting hello
    stop     Ctrl-C

`,
		readVersion().Etcd, ui.Safe(cfg.Name), id, cluster,
		joinURLs(cfg.ListenClientUrls), protection(cfg.ListenClientUrls, cfg.ClientTLSInfo.ClientCertAuth || cfg.ClientTLSInfo.TrustedCAFile != ""),
		joinURLs(cfg.ListenPeerUrls), protection(cfg.ListenPeerUrls, cfg.PeerTLSInfo.ClientCertAuth || cfg.PeerTLSInfo.TrustedCAFile != ""),
		ui.Safe(dir), flags, flags)
}

// protection says who can read and join what goes over the URLs.
func protection(urls []url.URL, clientCertificates bool) string {
	secure := func(u url.URL) bool { return u.Scheme == "https" || u.Scheme == "unixs" }
	switch {
	case !slices.ContainsFunc(urls, secure):
		return "plaintext"
	case slices.ContainsFunc(urls, func(u url.URL) bool { return !secure(u) }):
		return "TLS and plaintext"
	case clientCertificates:
		return "TLS, client certificate required"
	}
	return "TLS"
}

// connectFlags are what a client on this machine needs to be told; nothing when the defaults reach the member.
func connectFlags(cfg *embed.Config) string {
	if len(cfg.AdvertiseClientUrls) == 0 {
		return ""
	}
	u := cfg.AdvertiseClientUrls[0]
	var flags strings.Builder
	if u.String() != embed.DefaultAdvertiseClientURLs {
		flags.WriteString(" --endpoints " + u.String())
	}
	if u.Scheme == "https" {
		ca := cfg.ClientTLSInfo.TrustedCAFile
		if ca == "" {
			ca = "CA-FILE"
		}
		flags.WriteString(" --cacert " + ca)
		if cfg.ClientTLSInfo.ClientCertAuth || cfg.ClientTLSInfo.TrustedCAFile != "" {
			flags.WriteString(" --cert CLIENT-CERT --key CLIENT-KEY")
		}
	}
	return flags.String()
}

func joinURLs(urls []url.URL) string {
	texts := make([]string, len(urls))
	for i := range urls {
		texts[i] = urls[i].String()
	}
	return strings.Join(texts, ",")
}
