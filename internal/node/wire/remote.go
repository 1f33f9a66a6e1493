package wire

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// Remote is another machine, through etcdops there: a recovery.Workshop besides a recovery.Node.
type Remote struct{ Node }

// Inspect implements recovery.Inspector.
func (n *Remote) Inspect(ctx context.Context, path string, opts datadir.Options) (datadir.Info, error) {
	reply, err := n.call(ctx, Request{Method: "inspect", Path: path, Inspect: &opts})
	if err == nil && reply.Info == nil {
		err = fmt.Errorf("%s: the answer has no inspection", n.driver)
	}
	if err != nil {
		return datadir.Info{}, err
	}
	reply.Info.Log = reply.Log
	return *reply.Info, nil
}

// Servers implements recovery.Workshop.
func (n *Remote) Servers(ctx context.Context) ([]recovery.Server, error) {
	reply, err := n.call(ctx, Request{Method: "servers"})
	return reply.Servers, err
}

// Send implements recovery.Workshop.
func (n *Remote) Send(ctx context.Context, p recovery.Parcel, w io.Writer) error {
	s := stream{in: strings.NewReader(""), out: w, size: p.File.Bytes - p.Offset}
	_, err := n.callStreaming(ctx, Request{Method: "send", Parcel: &p}, s, func(Waiting) {})
	return err
}

// Receive implements recovery.Workshop.
func (n *Remote) Receive(ctx context.Context, p recovery.Parcel, r io.Reader, tell recovery.Tell) error {
	_, err := n.callStreaming(ctx, Request{Method: "receive", Parcel: &p}, stream{in: r}, telling(tell))
	return err
}

// telling passes on what the other machine tells.
func telling(tell recovery.Tell) func(Waiting) {
	return func(w Waiting) {
		if tell != nil {
			tell(w.Text, w.Transfer)
		}
	}
}

// Stage implements recovery.Workshop.
func (n *Remote) Stage(ctx context.Context, order recovery.StageOrder, tell recovery.Tell) (recovery.StageResult, error) {
	reply, err := n.callTelling(ctx, Request{Method: "stage", Stage: &order}, telling(tell))
	if err == nil && reply.Stage == nil {
		err = fmt.Errorf("%s: the answer has no result", n.driver)
	}
	if err != nil {
		return recovery.StageResult{}, err
	}
	return *reply.Stage, nil
}
