package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// lag is how much later than the first answer those of other endpoints may come, beside the time that the first one took.
const lag = 100 * time.Millisecond

// reach makes sure that an endpoint answers, and that the cluster has a quorum where the command needs one, so that an
// error says what is wrong: etcdctl's code only says that its time was up. It costs one connection and one read an
// endpoint, and nothing is proposed.
//
// It returns cfg without the endpoints that are connected to and do not answer, such as a member cut off from the others: a
// client that spreads its requests would send it every third one, to wait there until its time is up.
func (a *app) reach(cmd *cobra.Command, cfg ops.Config) (ops.Config, error) {
	asked := cfg
	asked.Auth = ops.Auth{} // each authentication is a proposal; who goes on makes his own
	cluster, err := ops.Dial(cmd.Context(), asked)
	if err != nil {
		return cfg, err
	}
	defer func() { _ = cluster.Close() }() // nothing was written
	if !needsQuorum(cmd) {
		return cfg, nil
	}
	useless, err := proveQuorum(cmd.Context(), cluster)
	if err != nil || len(useless) == 0 {
		return cfg, err
	}
	fmt.Fprintf(a.io.Err, "going on without %s: no answer from there, others have a quorum (etcdops health tells more)\n",
		ui.Safe(strings.Join(useless, ", ")))
	cfg.Endpoints = slices.DeleteFunc(cluster.Config().Endpoints, func(e string) bool { return slices.Contains(useless, e) })
	if a.resolved != nil { // so that it is said once
		a.resolved.Config.Endpoints = cfg.Endpoints
	}
	return cfg, nil
}

// dialQuorum connects to the endpoints that can answer what cmd asks.
func (a *app) dialQuorum(cmd *cobra.Command) (*ops.Cluster, error) {
	r, err := a.resolve(cmd)
	if err != nil {
		return nil, err
	}
	if len(r.Config.Endpoints) > 1 && needsQuorum(cmd) {
		if r.Config, err = a.reach(cmd, r.Config); err != nil {
			return nil, err
		}
	}
	return ops.Dial(cmd.Context(), r.Config)
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

// proveQuorum makes a linearizable read through all endpoints at once. It succeeds when one is answered, whatever the answer
// is: a refusal (authentication, a learner) is for others to tell. The others have a moment more; useless are those that
// were silent still, or have no leader. An endpoint that nothing listens on is none of them: clients pass over it.
func proveQuorum(ctx context.Context, cluster *ops.Cluster) (useless []string, err error) {
	endpoints := cluster.Config().Endpoints
	type answer struct {
		endpoint string
		err      error
	}
	answers := make(chan answer, len(endpoints))
	asked, cancel := context.WithTimeout(ctx, cluster.Config().CommandTimeout)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	for _, endpoint := range endpoints {
		asking.Go(func() { answers <- answer{endpoint, readThrough(asked, cluster, endpoint)} })
	}
	var told error
	var late <-chan time.Time // set with the first good answer
	useless = slices.Clone(endpoints)
	for start, left := time.Now(), len(endpoints); left > 0; left-- {
		select {
		case got := <-answers:
			// An endpoint that was reached and has no answer says more than one that is down.
			mute := slices.Contains([]ops.Code{ops.CodeSlow, ops.CodeNoLeader}, ops.CodeOf(got.err))
			if got.err != nil && (told == nil || mute) {
				told = got.err
			}
			if !mute {
				useless = slices.DeleteFunc(useless, func(e string) bool { return e == got.endpoint })
			}
			if got.err == nil && late == nil {
				late = time.After(time.Since(start) + lag)
			}
		case <-late:
			return useless, nil
		}
	}
	if late == nil {
		return nil, told
	}
	return useless, nil
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
