package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/ops"
)

// leaderPoll is the time between two questions for a leader.
const leaderPoll = 100 * time.Millisecond

// reach makes sure that an endpoint answers and that there is a leader where the command needs one, so that an error
// says what is wrong: etcdctl's code only says that its time was up. It costs one connection and one request that goes
// no further than the member asked.
func (a *app) reach(cmd *cobra.Command, cfg ops.Config) error {
	cfg.Auth = ops.Auth{} // each authentication is a proposal; upstream's code makes its own
	cluster, err := ops.Dial(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // nothing was written
	if !needsLeader(cmd) {
		return nil
	}
	return awaitLeader(cmd.Context(), cluster)
}

// needsLeader reports whether a command of etcdctl's asks for anything that goes through raft.
func needsLeader(cmd *cobra.Command) bool {
	group, _, _ := strings.Cut(commandPath(cmd), " ")
	switch group {
	case "endpoint", "defrag", "snapshot":
		return false
	case "get":
		return flagText(cmd.Flags(), "consistency") != "s"
	}
	return true
}

// commandPath is the path of a command without the program's name.
func commandPath(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// awaitLeader waits until an endpoint knows a leader, as long as one request may take: elections take about a second.
// A member that does not say (authentication, an older version) is given the benefit of the doubt.
func awaitLeader(ctx context.Context, cluster *ops.Cluster) error {
	limit := cluster.Config().CommandTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNoLeader(limit, cluster.Config().Endpoints))
	defer cancel()
	tick := time.NewTicker(leaderPoll)
	defer tick.Stop()
	for !anyLeader(ctx, cluster) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// anyLeader asks all endpoints at once and returns at the first that may have a leader.
func anyLeader(ctx context.Context, cluster *ops.Cluster) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	endpoints := cluster.Config().Endpoints
	may := make(chan bool, len(endpoints))
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, endpoint := range endpoints {
		asking.Go(func() { may <- mayHaveLeader(ctx, cluster, endpoint) })
	}
	return slices.ContainsFunc(endpoints, func(string) bool {
		found := <-may
		if found {
			cancel()
		}
		return found
	})
}

// mayHaveLeader is false when a member says that it has none, or cannot be reached.
func mayHaveLeader(ctx context.Context, cluster *ops.Cluster, endpoint string) bool {
	client, err := cluster.At(ctx, endpoint)
	if err != nil {
		return false
	}
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		return ctx.Err() == nil // it answered something else
	}
	return status.Leader != 0
}

func errNoLeader(limit time.Duration, endpoints []string) error {
	return &ops.HintError{
		Code: ops.CodeNoLeader, Class: ops.ClassUnreachable, Op: "reach", Member: strings.Join(endpoints, ","),
		Err:  fmt.Errorf("no endpoint knew a leader for %s: the cluster has lost its quorum, or cannot elect", limit),
		Hint: "etcdops health",
	}
}
