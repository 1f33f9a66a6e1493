package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

const defragHelp = `Gives the free space in the databases of the endpoints back to the file system, one endpoint after the other.

A member answers nothing while it defragments, some seconds for every GiB. There is no limit on that time unless
--command-timeout names one. An endpoint that cannot be reached is passed over. When one does not end in time, the rest is
left alone: it may still be at work, and two members that answer nothing may be the quorum.`

// ownDefrag runs defrag by code of ours: etcdctl's gives up after five seconds, which large databases need more than, and
// goes on to the next member while the one before is still at work.
func (a *app) ownDefrag(cmd *cobra.Command) {
	cmd.Long = defragHelp
	delete(cmd.Annotations, annotationExitCodes)
	wrap(cmd, func(cmd *cobra.Command, args []string) (bool, error) {
		if len(args) > 0 {
			return true, usageError(cmd, fmt.Errorf("it takes no argument, and %q is one: endpoints are named with --endpoints", args[0]))
		}
		if _, err := a.upstreamFormat(cmd); err != nil {
			return true, err
		}
		r, err := a.resolve(cmd)
		if err != nil {
			return true, err
		}
		var limit time.Duration
		for _, s := range r.Settings {
			if s.Name == "command-timeout" && s.Origin.Kind != config.OriginDefault {
				limit = r.Config.CommandTimeout
			}
		}
		return true, a.defragAll(cmd, r.Config, limit)
	})
}

func (a *app) defragAll(cmd *cobra.Command, cfg ops.Config, limit time.Duration) error {
	cluster, err := ops.Dial(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // nothing was written through it that is not answered
	endpoints := slices.Clone(cluster.Config().Endpoints)
	if flagOn(cmd.Flags(), "cluster") {
		if endpoints, err = advertised(cmd.Context(), cluster); err != nil {
			return err
		}
	}
	var failures []error
	for i, endpoint := range endpoints {
		began, err := a.defragOne(cmd.Context(), cluster, endpoint, limit)
		if err == nil {
			continue
		}
		failures = append(failures, err)
		if left := endpoints[i+1:]; began && len(left) > 0 {
			failures = append(failures, errors.New("not begun: "+strings.Join(left, ", ")))
			break
		}
	}
	if len(failures) < 2 {
		return errors.Join(failures...)
	}
	all := &ops.HintError{Class: ops.ClassFailure, Op: cmd.CommandPath(), Err: errors.Join(failures...), Hint: "etcdops health"}
	if first, ok := errors.AsType[*ops.HintError](failures[0]); ok {
		all.Code, all.Class = first.Code, first.Class
	}
	return all
}

// defragOne prints what etcdctl prints. began tells of an error that leaves open whether the member is still at work.
func (a *app) defragOne(ctx context.Context, cluster *ops.Cluster, endpoint string, limit time.Duration) (began bool, err error) {
	client, err := cluster.At(ctx, endpoint)
	if err != nil {
		return false, err
	}
	asked, cancel := context.WithCancel(ctx)
	if limit > 0 {
		asked, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	start := time.Now()
	if _, err := client.Defragment(asked, endpoint); err != nil {
		if errors.Is(asked.Err(), context.DeadlineExceeded) {
			return true, &ops.HintError{
				Code: ops.CodeSlow, Class: ops.ClassUnreachable, Op: "defragment", Member: endpoint,
				Err:  fmt.Errorf("it was not done within %v (--command-timeout), and may still be under way", limit),
				Hint: "etcdops health --endpoints " + endpoint + " tells when it is done",
			}
		}
		return asked.Err() != nil, cluster.Explain(asked, "defragment", endpoint, err)
	}
	fmt.Fprintf(a.io.Out, "Finished defragmenting etcd member[%s]. took %s\n", ui.Safe(endpoint), time.Since(start))
	return false, nil
}

// advertised lists the client URLs of all members, as etcdctl's --cluster does.
func advertised(ctx context.Context, cluster *ops.Cluster) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.Config().CommandTimeout)
	defer cancel()
	list, err := cluster.Membership(ctx)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, m := range list.Members {
		for _, u := range m.ClientURLs {
			if !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	}
	return urls, nil
}
