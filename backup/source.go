package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etcdops/etcdops/ops"
)

// source is the member that a backup is taken from.
type source struct {
	member   Member
	endpoint string
	status   ops.Status
	members  []ops.Member // of the cluster, empty when nobody tells
}

// maxLag is how many log entries a follower may be behind the most advanced member to be taken a backup from.
const maxLag = 1000

// pickSource chooses the member: the one that was asked for, or else a healthy voter, a follower before the leader, because
// reading a whole database slows down the member that serves it.
func pickSource(ctx context.Context, c *ops.Cluster, wanted string) (source, error) {
	list, listErr := c.Membership(ctx)
	endpoints := c.Config().Endpoints
	if listErr == nil {
		if wanted != "" {
			m, err := list.Find(wanted)
			if err != nil {
				return source{}, noSource(wanted, err)
			}
			endpoints = m.ClientURLs
		}
	} else if wanted != "" {
		endpoints = []string{wanted}
	}
	replies := statuses(ctx, c, endpoints)
	best := choose(replies, wanted != "")
	if wanted == "" && listErr == nil && (best < 0 || replies[best].status.Leader == replies[best].status.MemberID) {
		// Only the leader was named: others may be reached where they say they are.
		var more []string
		for _, m := range list.Voters() {
			if !slices.ContainsFunc(replies, func(r reply) bool { return r.err == nil && r.status.MemberID == m.ID }) {
				more = append(more, m.ClientURLs...)
			}
		}
		replies = append(replies, statuses(ctx, c, more)...)
		best = choose(replies, false)
	}
	if best < 0 {
		errs := []error{errors.New("no member that is fit for it answers")}
		for _, r := range replies {
			if r.err != nil {
				errs = append(errs, r.err)
			}
		}
		return source{}, noSource(wanted, errors.Join(errs...))
	}
	return describe(replies[best], list), nil
}

// PickEndpoint chooses the endpoint of the member that a backup would be taken from: that of the member wanted, by name, ID
// or URL, or of a healthy follower.
func PickEndpoint(ctx context.Context, c *ops.Cluster, wanted string) (string, error) {
	s, err := pickSource(ctx, c, wanted)
	return s.endpoint, err
}

// reply is what an endpoint said of itself.
type reply struct {
	endpoint string
	status   ops.Status
	err      error
}

// statuses asks all endpoints at once.
func statuses(ctx context.Context, c *ops.Cluster, endpoints []string) []reply {
	ctx, cancel := context.WithTimeout(ctx, c.Config().CommandTimeout)
	defer cancel()
	out := make(chan reply, len(endpoints))
	for _, endpoint := range endpoints {
		go func() {
			r := reply{endpoint: endpoint}
			conn, err := c.Conn(ctx, endpoint)
			if err == nil {
				r.status, err = ops.ReadStatus(ctx, conn)
			}
			r.err = c.Explain(ctx, "read status of", endpoint, err)
			out <- r
		}()
	}
	replies := make([]reply, 0, len(endpoints))
	for range endpoints {
		replies = append(replies, <-out)
	}
	slices.SortStableFunc(replies, func(a, b reply) int { return slices.Index(endpoints, a.endpoint) - slices.Index(endpoints, b.endpoint) })
	return replies
}

// choose returns the number of the best member, -1 for none. any takes members in whatever state.
func choose(replies []reply, anyState bool) int {
	var newest uint64
	for _, r := range replies {
		if r.err == nil {
			newest = max(newest, r.status.RaftApplied)
		}
	}
	best, bestScore := -1, 0
	for i, r := range replies {
		score := 0
		switch {
		case r.err != nil:
			continue
		case anyState:
			score = 1
		case r.status.Learner || corrupt(r.status) || r.status.RaftApplied+maxLag < newest:
			continue
		case r.status.Leader == r.status.MemberID:
			score = 2
		case r.status.Leader == 0: // no leader: it is fit, but what is newer may be elsewhere
			score = 1
		default:
			score = 3
		}
		if score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// corrupt says whether the cluster holds the member's data for damaged.
func corrupt(s ops.Status) bool {
	alarms, _ := s.Alarms()
	return slices.ContainsFunc(alarms, func(a ops.Alarm) bool { return a.Type == "CORRUPT" && a.Member == s.MemberID })
}

func describe(r reply, list ops.Membership) source {
	s := source{endpoint: r.endpoint, status: r.status, members: list.Members}
	s.member = Member{
		ID: r.status.MemberID, Endpoint: r.endpoint, Version: r.status.Version, StorageVersion: r.status.StorageVersion, Role: "follower",
	}
	switch {
	case r.status.Learner:
		s.member.Role = "learner"
	case r.status.Leader == r.status.MemberID:
		s.member.Role = "leader"
	}
	if m, ok := list.ByID(r.status.MemberID); ok {
		s.member.Name = m.Name
	}
	return s
}

func noSource(member string, err error) error {
	return &ops.HintError{
		Code: CodeNoSource, Class: ops.ClassUnreachable, Op: "choose a member to back up", Member: member,
		Err: fmt.Errorf("%w", err), Hint: "etcdops health",
	}
}
