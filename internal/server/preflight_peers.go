package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"

	"github.com/etcdops/etcdops/ops"
)

// Limits of asking the peers before the start. All are asked at once, and a restart goes on with the first that confirms
// its cluster: one that hangs holds up only a member that could have no quorum yet. Who joins cannot do without an answer.
const (
	askTimeout  = 2 * time.Second
	joinTimeout = 5 * time.Second
	maxMembers  = 1 << 20 // bytes of an answer
)

// peerAnswer is what one peer URL said about its cluster.
type peerAnswer struct {
	url     string
	cluster ops.ClusterID
	members []*membership.Member
	err     error
}

// checkPeers asks the other members which cluster they are, and refuses what could only do harm or wait for ever.
func checkPeers(ctx context.Context, cfg *embed.Config, state dirState) error {
	configured, err := types.NewURLsMap(cfg.InitialCluster)
	if err != nil || cfg.ForceNewCluster || !isStatic(cfg) {
		return nil //nolint:nilerr // a member that has started may carry a broken list; upstream ignores it too
	}
	joins := !state.initialised && cfg.ClusterState == embed.ClusterStateFlagExisting
	limit := askTimeout
	if joins {
		limit = joinTimeout
	}
	urls := otherPeers(cfg, configured, state)
	if len(urls) == 0 && !joins {
		return nil
	}
	answers, err := askPeers(ctx, cfg, urls, limit, func(a peerAnswer) bool { return a.err == nil && a.cluster == state.cluster })
	switch {
	case err != nil:
		return err
	case state.initialised:
		return judgeRestart(cfg, state, answers)
	case joins:
		return judgeJoin(cfg, answers)
	}
	return judgeBootstrap(cfg, configured, answers)
}

// otherPeers lists the peer URLs of all other members that the settings or the data directory know.
func otherPeers(cfg *embed.Config, configured types.URLsMap, state dirState) []string {
	var urls []string
	if !state.initialised || cfg.FlagsExplicitlySet["initial-cluster"] {
		for name, list := range configured {
			if name != cfg.Name {
				urls = append(urls, list.StringSlice()...)
			}
		}
	}
	for _, m := range state.members {
		if ops.MemberID(m.ID) != state.member {
			urls = append(urls, m.PeerURLs...)
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// askPeers asks all peers at once for their membership, until one answer is enough; silence is part of the answer. The
// error is about our own TLS settings.
func askPeers(ctx context.Context, cfg *embed.Config, urls []string, limit time.Duration, enough func(peerAnswer) bool) ([]peerAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	info := cfg.PeerTLSInfo
	if cfg.PeerAutoTLS && info.Empty() {
		info.InsecureSkipVerify = true // upstream's own certificates of auto-tls cannot be verified
	}
	transport, err := rafthttp.NewRoundTripper(info, limit)
	if err != nil {
		return nil, tlsError("ETO-3010", "", err, helpCommand)
	}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	answers := make(chan peerAnswer, len(urls))
	for _, u := range urls {
		go func() { answers <- askPeer(ctx, client, u, limit) }()
	}
	var all []peerAnswer
	for range urls {
		answer := <-answers
		all = append(all, answer)
		if enough != nil && enough(answer) {
			break
		}
	}
	slices.SortFunc(all, func(a, b peerAnswer) int { return cmp.Compare(a.url, b.url) })
	return all, nil
}

// askPeer reads one member's list of members and the ID of its cluster.
func askPeer(ctx context.Context, client *http.Client, peer string, limit time.Duration) peerAnswer {
	answer := peerAnswer{url: peer}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, peer+"/members", http.NoBody)
	if err != nil {
		answer.err = err
		return answer
	}
	response, err := client.Do(request)
	if err != nil {
		answer.err = askFailure(err, limit)
		return answer
	}
	defer func() { _ = response.Body.Close() }() // only read
	if answer.err = json.NewDecoder(io.LimitReader(response.Body, maxMembers)).Decode(&answer.members); answer.err != nil {
		return answer
	}
	id, err := strconv.ParseUint(response.Header.Get("X-Etcd-Cluster-ID"), 16, 64)
	answer.cluster, answer.err = ops.ClusterID(id), err
	return answer
}

// askFailure words why a peer did not answer; its URL is named beside.
func askFailure(err error, limit time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", limit)
	}
	if failure, ok := errors.AsType[*url.Error](err); ok {
		err = failure.Err
	}
	return cause(err)
}

// judgeRestart refuses a data directory when the cluster that answers expects this very member and is not the one that
// the directory belongs to. A cluster that does not know this member proves nothing: it may have taken over an old address.
func judgeRestart(cfg *embed.Config, state dirState, answers []peerAnswer) error {
	self := &membership.Member{RaftAttributes: membership.RaftAttributes{PeerURLs: types.URLs(cfg.AdvertisePeerUrls).StringSlice()}}
	var other *peerAnswer
	for i, a := range answers {
		switch {
		case a.err != nil || state.cluster == 0:
		case a.cluster == state.cluster:
			return nil
		case slices.ContainsFunc(a.members, func(m *membership.Member) bool { return sharesURL(m, self) }):
			other = &answers[i]
		}
	}
	if other == nil {
		return nil
	}
	return refusal("ETO-3032", cfg.Dir,
		fmt.Errorf("it belongs to cluster %s (member %s), but the peer %s, which expects this member, is in cluster %s",
			state.cluster, state.member, other.url, other.cluster),
		"check --data-dir; a member whose cluster was rebuilt joins again with an empty directory: etcdops explain replace-member")
}

// judgeBootstrap refuses to bootstrap a cluster that runs already.
func judgeBootstrap(cfg *embed.Config, configured types.URLsMap, answers []peerAnswer) error {
	self := membership.NewMember(cfg.Name, configured[cfg.Name], cfg.InitialClusterToken, nil)
	for _, a := range answers {
		for _, m := range a.members {
			switch {
			case m.ID == self.ID && len(m.ClientURLs) > 0: // a member tells its client URLs when it first serves
				return refusal("ETO-3036", cfg.Dir,
					fmt.Errorf("the directory is empty, but %s knows this member (%s) as one that has run: its data is lost", a.url, m.ID),
					"replace it (etcdops explain replace-member): starting it empty under its old ID would lose acknowledged writes")
			case m.ID != self.ID && sharesURL(m, self):
				return refusal("ETO-3036", cfg.Dir, fmt.Errorf("%s runs a cluster already and waits for this member (%s)", a.url, m.ID),
					"--initial-cluster-state=existing")
			}
		}
	}
	return nil
}

// judgeJoin refuses to join when nobody answers, when the cluster does not expect this member, or when it knows it as one
// that has run: upstream would start it empty under its old ID.
func judgeJoin(cfg *embed.Config, answers []peerAnswer) error {
	self := &membership.Member{RaftAttributes: membership.RaftAttributes{PeerURLs: types.URLs(cfg.AdvertisePeerUrls).StringSlice()}}
	var failures []error
	var stranger *peerAnswer
	var ran error
	unsure := false
	for i, a := range answers {
		known := slices.IndexFunc(a.members, func(m *membership.Member) bool { return sharesURL(m, self) })
		switch {
		case a.err != nil:
			failures = append(failures, fmt.Errorf("%s: %w", a.url, a.err))
		case known >= 0 && len(a.members[known].ClientURLs) > 0: // a member tells its client URLs when it first serves
			ran = fmt.Errorf("the directory is empty, but %s knows this member (%s) as one that has run: its data is lost", a.url, a.members[known].ID)
		case known >= 0:
			return nil // one may lag behind, and still have the member that this one replaces: one that knows is enough
		case hasHostNames(cfg.AdvertisePeerUrls):
			unsure = true // its URL may be written in another way
		default:
			stranger = &answers[i]
		}
	}
	switch {
	case ran != nil:
		return refusal("ETO-3036", cfg.Dir, ran, "replace it (etcdops explain replace-member): starting it empty under its old ID would lose acknowledged writes")
	case unsure:
		return nil
	case stranger != nil:
		urls := strings.Join(self.PeerURLs, ",")
		return refusal("ETO-3037", cfg.Dir, fmt.Errorf("cluster %s at %s does not know a member at %s", stranger.cluster, stranger.url, urls),
			fmt.Sprintf("etcdops member add %s --peer-urls=%s on a running member first", cfg.Name, urls))
	}
	err := joined(failures)
	if len(failures) == 0 {
		err = errors.New("--initial-cluster lists no other member")
	}
	return &ops.HintError{
		Code: "ETO-3040", Class: ops.ClassUnreachable, Op: "join the cluster", Err: err,
		Hint: "check --initial-cluster, the network and the peer certificates; etcdops health asks the running members",
	}
}

func sharesURL(a, b *membership.Member) bool {
	return slices.ContainsFunc(a.PeerURLs, func(u string) bool { return slices.Contains(b.PeerURLs, u) })
}

// dialEndpoint connects to a host:port or URL and hangs up.
func dialEndpoint(ctx context.Context, endpoint string, limit time.Duration) error {
	address := endpoint
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		address = u.Host
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return cause(err)
	}
	return conn.Close()
}

// joined puts several failures on one line.
func joined(failures []error) error {
	texts := make([]string, len(failures))
	for i, err := range failures {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
