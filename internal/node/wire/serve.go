package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// Machine is what a request is answered with. Driver is asked for only where a method works on the member.
type Machine struct {
	Driver   func(ctx context.Context) (recovery.Node, error)
	Workshop recovery.Workshop // nil where there is none
}

// Serve answers one request on a machine.
func Serve(ctx context.Context, m Machine, in io.Reader, out io.Writer) error {
	var r Request
	dec := json.NewDecoder(io.LimitReader(in, maxRequest))
	if err := dec.Decode(&r); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if r.Method == "send" && r.Schema == RequestSchema && m.Workshop != nil {
		return m.send(ctx, r, out)
	}
	enc := json.NewEncoder(out)
	var turn sync.Mutex
	tell := func(text string, transfer *recovery.Transfer) {
		turn.Lock()
		defer turn.Unlock()
		_ = enc.Encode(Reply{Schema: ReplySchema, Waiting: &Waiting{text, transfer}}) // nobody there to be told: the answer will fail too
	}
	reply, err := m.answer(ctx, r, io.MultiReader(dec.Buffered(), in), tell)
	reply.Schema = ReplySchema
	if err != nil {
		reply.Error = err.Error()
	}
	turn.Lock()
	defer turn.Unlock()
	return enc.Encode(reply)
}

// send answers with a file: the bytes follow the answer.
func (m Machine) send(ctx context.Context, r Request, out io.Writer) error {
	if r.Parcel == nil {
		return json.NewEncoder(out).Encode(Reply{Schema: ReplySchema, Error: "the request has no parcel"})
	}
	first := &answered{out: out}
	err := m.Workshop.Send(ctx, *r.Parcel, first)
	if err == nil {
		_, err = first.Write(nil) // of an empty rest too
	}
	if err != nil && !first.begun {
		return json.NewEncoder(out).Encode(Reply{Schema: ReplySchema, Error: err.Error()})
	}
	return err // after the answer only the missing bytes can tell it
}

// answered writes the answer before the first byte.
type answered struct {
	out   io.Writer
	begun bool
}

// Write implements io.Writer.
func (a *answered) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		if err := json.NewEncoder(a.out).Encode(Reply{Schema: ReplySchema}); err != nil {
			return 0, err
		}
	}
	return a.out.Write(p)
}

func (m Machine) answer(ctx context.Context, r Request, rest io.Reader, tell recovery.Tell) (Reply, error) {
	if r.Schema != RequestSchema {
		return Reply{}, fmt.Errorf("this etcdops does not understand %q: install the same version on both machines", r.Schema)
	}
	if reply, ours, err := m.work(ctx, r, rest, tell); ours {
		return reply, err
	}
	node, err := m.Driver(ctx)
	if err != nil {
		return Reply{}, err
	}
	return drive(ctx, node, r)
}

// work answers what needs no driver; ours is false for other methods.
func (m Machine) work(ctx context.Context, r Request, rest io.Reader, tell recovery.Tell) (reply Reply, ours bool, err error) {
	if m.Workshop == nil {
		return reply, false, nil
	}
	switch r.Method {
	case "inspect":
		var opts datadir.Options
		if r.Inspect != nil {
			opts = *r.Inspect
		}
		info, err := m.Workshop.Inspect(ctx, r.Path, opts)
		return Reply{Info: &info, Log: info.Log}, true, err
	case "servers":
		reply.Servers, err = m.Workshop.Servers(ctx)
		return reply, true, err
	case "receive":
		if r.Parcel == nil {
			return reply, true, errors.New("the request has no parcel")
		}
		bytes := bufio.NewReader(rest)
		if end, err := bytes.ReadByte(); err != nil || end != '\n' {
			return reply, true, errors.Join(errors.New("the request has no end"), err)
		}
		return reply, true, m.Workshop.Receive(ctx, *r.Parcel, bytes, tell)
	case "stage":
		if r.Stage == nil {
			return reply, true, errors.New("the request has no stage")
		}
		made, err := m.Workshop.Stage(ctx, *r.Stage, tell)
		return Reply{Stage: &made}, true, err
	}
	return reply, false, nil
}

// drive answers what a driver does.
func drive(ctx context.Context, node recovery.Node, r Request) (reply Reply, err error) {
	switch r.Method {
	case "survey":
		s, err := node.Survey(ctx)
		return Reply{Survey: &s}, err
	case "status":
		s, err := node.Status(ctx)
		return Reply{Status: &s}, err
	case "set_aside":
		reply.Asides, err = node.SetAside(ctx, r.Label)
		return reply, err
	case "put_back":
		return reply, node.PutBack(ctx, r.Label)
	case "discard":
		return reply, node.Discard(ctx, r.Label)
	case "configure":
		return reply, node.Configure(ctx, r.Settings)
	case "stop":
		return reply, node.Stop(ctx)
	case "mask":
		return reply, node.Mask(ctx)
	case "unmask":
		return reply, node.Unmask(ctx)
	case "start":
		return reply, node.Start(ctx)
	}
	return reply, fmt.Errorf("there is no method %q", r.Method)
}
