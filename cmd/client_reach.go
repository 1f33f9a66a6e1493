package cmd

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/ops"
)

// reach makes sure that an endpoint answers, and that the cluster has a quorum where the command needs one, so that an
// error says what is wrong: etcdctl's code only says that its time was up. It costs one connection and one read, and
// nothing is proposed.
func (a *app) reach(cmd *cobra.Command, cfg ops.Config) error {
	cfg.Auth = ops.Auth{} // each authentication is a proposal; upstream's code makes its own
	cluster, err := ops.Dial(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // nothing was written
	if !needsQuorum(cmd) {
		return nil
	}
	return proveQuorum(cmd.Context(), cluster)
}

// needsQuorum reports whether a command of etcdctl's asks for anything that goes through raft.
func needsQuorum(cmd *cobra.Command) bool {
	group, _, _ := strings.Cut(commandPath(cmd), " ")
	switch group {
	case "endpoint", "defrag", "snapshot":
		return false
	}
	return flagText(cmd.Flags(), "consistency") != "s" // get, and member list
}

// commandPath is the path of a command without the program's name.
func commandPath(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// proveQuorum makes a linearizable read through all endpoints at once and returns at the first answer, whatever it is:
// a refusal (authentication, a learner) is for upstream's code to tell.
func proveQuorum(ctx context.Context, cluster *ops.Cluster) error {
	endpoints := cluster.Config().Endpoints
	asked, cancel := context.WithTimeout(ctx, cluster.Config().CommandTimeout)
	answers := make(chan error, len(endpoints))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	for _, endpoint := range endpoints {
		asking.Go(func() { answers <- readThrough(asked, cluster, endpoint) })
	}
	var told error
	for range endpoints {
		err := <-answers
		if err == nil {
			return nil
		}
		// An endpoint that was reached and has no answer says more than one that is down.
		if code := ops.CodeOf(err); told == nil || code == ops.CodeSlow || code == ops.CodeNoLeader {
			told = err
		}
	}
	return told
}

// readThrough reads nothing, with the leader's word that it is up to date.
func readThrough(ctx context.Context, cluster *ops.Cluster, endpoint string) error {
	client, err := cluster.At(ctx, endpoint)
	if err != nil {
		return err
	}
	_, err = client.Get(ctx, "\x00", clientv3.WithCountOnly())
	if ctx.Err() == nil && !unavailable(err) {
		return nil
	}
	return cluster.Explain(ctx, "read through", endpoint, err)
}

// unavailable reports whether err means that the cluster cannot answer now.
func unavailable(err error) bool {
	if known, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return known.Code() == codes.Unavailable && !ops.IsLearnerRefusal(err)
	}
	return status.Code(err) == codes.Unavailable
}
