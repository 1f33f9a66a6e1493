// Package wire works on a machine through a program that takes one request as JSON on its standard input and answers with
// JSON on its standard output: commands of the user's own (hooks), and etcdops on another machine, through ssh.
package wire

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// The schemas of both directions.
const (
	RequestSchema = "etcdops.node_request/v1"
	ReplySchema   = "etcdops.node_reply/v1"
)

// Request asks for one method of recovery.Node.
type Request struct {
	Schema   string             `json:"schema"`
	Method   string             `json:"method"`             // survey, status, stop, mask, unmask, set_aside, put_back, discard, configure, start
	Member   string             `json:"member"`             // the member's name
	Label    string             `json:"label,omitempty"`    // of set_aside, put_back, discard
	Settings []recovery.Setting `json:"settings,omitempty"` // of configure

	// Of etcdops on another machine only: inspect, servers, stage, send, receive.
	Path    string               `json:"path,omitempty"`
	Inspect *datadir.Options     `json:"inspect,omitempty"`
	Stage   *recovery.StageOrder `json:"stage,omitempty"`
	Parcel  *recovery.Parcel     `json:"parcel,omitempty"` // the bytes follow the request (receive) or the answer (send)
}

// Reply is the answer. Error is empty when the method did what it promises.
type Reply struct {
	Schema string               `json:"schema"`
	Error  string               `json:"error"`
	Survey *recovery.Survey     `json:"survey,omitempty"`
	Status *recovery.NodeStatus `json:"status,omitempty"`
	Asides []recovery.Aside     `json:"asides,omitempty"`

	Info    *datadir.Info         `json:"info,omitempty"`
	Log     *datadir.Digest       `json:"log,omitempty"` // of Info, which does not carry it
	Servers []recovery.Server     `json:"servers,omitempty"`
	Stage   *recovery.StageResult `json:"stage,omitempty"`
	Waiting *Waiting              `json:"waiting,omitempty"` // this is not the answer yet: others follow
}

// Waiting tells how far a stage is.
type Waiting struct {
	Text     string             `json:"text"`
	Transfer *recovery.Transfer `json:"transfer,omitempty"`
}

// Bounds in bytes of what one side takes from the other: a question, what a program says besides, and an answer, which
// may carry a checksum for each entry of a log.
const (
	maxRequest = 64 << 20
	maxSaid    = 1 << 20
	maxReply   = 1 << 30
)

// Node is a machine behind a program.
type Node struct {
	member  string
	driver  string // for people: "hooks", "ssh cp-3"
	host    string // of ssh, "" for hooks
	command []string
}

// Hooks works through a program of the user's own.
func Hooks(member, program string) *Node {
	return &Node{member: member, driver: "hooks", command: []string{program}}
}

// SSH works through etcdops on another machine, which drives it by via there. It is the system's own ssh, with its agent,
// configuration (config names another file) and jump hosts. Host keys must be known: nobody is asked, nothing is learned.
func SSH(member, host, via, config string) (*Remote, error) {
	if host == "" || strings.HasPrefix(host, "-") {
		return nil, fmt.Errorf("bad host %q", host)
	}
	for _, word := range []string{member, via} {
		if strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
			return nil, fmt.Errorf("%q has characters that a shell there could take for its own", word)
		}
	}
	command := []string{"ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "-T"}
	if config != "" {
		command = append(command, "-F", config)
	}
	remote := "etcdops node-agent " + member
	if via != "" {
		remote += " " + via
	}
	return &Remote{Node{member: member, driver: "ssh " + host, host: host, command: append(command, "--", host, remote)}}, nil
}

// plain are the characters that no shell takes for its own.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@+,="

// call runs the program once.
func (n *Node) call(ctx context.Context, r Request) (Reply, error) {
	return n.callTelling(ctx, r, func(Waiting) {})
}

// callTelling runs the program once; tell is told what it says before its answer.
func (n *Node) callTelling(ctx context.Context, r Request, tell func(Waiting)) (Reply, error) {
	return n.callStreaming(ctx, r, stream{in: strings.NewReader("")}, tell)
}

// stream is what goes with a request or an answer besides its JSON.
type stream struct {
	in   io.Reader // follows the request
	out  io.Writer // takes what follows the answer; nil for nothing
	size int64     // of that
}

// program is what answers, not yet started.
func (n *Node) program(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.command[0], n.command[1:]...)
	cmd.Env, cmd.WaitDelay = environ(), 5*time.Second
	if n.host != "" {
		cmd.SysProcAttr = noTerminal() // a jump host's ssh has no BatchMode: it must not ask at ours either
	}
	return cmd
}

// callStreaming runs the program once, with bytes that go there or come from there.
func (n *Node) callStreaming(ctx context.Context, r Request, s stream, tell func(Waiting)) (Reply, error) {
	r.Schema, r.Member = RequestSchema, n.member
	input, err := json.Marshal(r)
	if err != nil {
		return Reply{}, err
	}
	cmd := n.program(ctx)
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(input, '\n')), s.in)
	var said limited
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Reply{}, err
	}
	if err := cmd.Start(); err != nil {
		return Reply{}, fmt.Errorf("%s, %s: %w", n.driver, r.Method, err)
	}
	reply, readErr := readReply(out, s, tell)
	_, _ = io.Copy(io.Discard, out) // so that it can end
	if runErr := cmd.Wait(); readErr != nil {
		if trouble := sshTrouble(n.host, runErr, said.String()); trouble != nil && n.host != "" && ctx.Err() == nil {
			return Reply{}, fmt.Errorf("%s: %w", n.driver, trouble)
		}
		return Reply{}, fmt.Errorf("%s, %s: no answer: %w; it said: %s", n.driver, r.Method, cmp.Or(runErr, readErr), strings.Join(strings.Fields(said.String()), " "))
	}
	if reply.Error != "" {
		return reply, fmt.Errorf("%s, %s: %s", n.driver, r.Method, reply.Error)
	}
	return reply, nil
}

// readReply reads an answer, and what is told before it, and the bytes that follow it.
func readReply(in io.Reader, s stream, tell func(Waiting)) (Reply, error) {
	text := io.LimitReader(in, maxReply)
	for dec := json.NewDecoder(text); ; {
		var reply Reply
		if err := dec.Decode(&reply); err != nil {
			return Reply{}, err
		}
		if reply.Schema != ReplySchema {
			return Reply{}, fmt.Errorf("the schema is %q, not %q", reply.Schema, ReplySchema)
		}
		if reply.Waiting != nil {
			tell(*reply.Waiting)
			continue
		}
		if s.out == nil || reply.Error != "" {
			return reply, nil
		}
		rest := bufio.NewReader(io.MultiReader(dec.Buffered(), in))
		if end, err := rest.ReadByte(); err != nil || end != '\n' {
			return Reply{}, errors.Join(errors.New("the answer has no end"), err)
		}
		_, err := io.CopyN(s.out, rest, s.size)
		return reply, err
	}
}

// environ is what ssh and hooks need of our environment: nothing of ours, and no secret.
func environ() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ETCDOPS_") && !strings.HasPrefix(e, "ETCDCTL_") && !strings.HasPrefix(e, "ETCD_") {
			out = append(out, e)
		}
	}
	return out
}

// limited keeps the first bytes that are written.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if room := maxSaid - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Survey implements recovery.Node.
func (n *Node) Survey(ctx context.Context) (recovery.Survey, error) {
	reply, err := n.call(ctx, Request{Method: "survey"})
	if err != nil {
		return recovery.Survey{}, err
	}
	if reply.Survey == nil {
		return recovery.Survey{}, fmt.Errorf("%s: the answer has no survey", n.driver)
	}
	s := *reply.Survey
	if s.Driver == "" {
		s.Driver = n.driver
	} else if n.driver != "hooks" {
		s.Driver = n.driver + ", " + s.Driver
	}
	return s, nil
}

// Status implements recovery.Node.
func (n *Node) Status(ctx context.Context) (recovery.NodeStatus, error) {
	reply, err := n.call(ctx, Request{Method: "status"})
	if err == nil && reply.Status == nil {
		err = fmt.Errorf("%s: the answer has no status", n.driver)
	}
	if err != nil {
		return recovery.NodeStatus{}, err
	}
	return *reply.Status, nil
}

// SetAside implements recovery.Node.
func (n *Node) SetAside(ctx context.Context, label string) ([]recovery.Aside, error) {
	reply, err := n.call(ctx, Request{Method: "set_aside", Label: label})
	return reply.Asides, err
}

func (n *Node) do(ctx context.Context, r Request) error {
	_, err := n.call(ctx, r)
	return err
}

// Stop implements recovery.Node.
func (n *Node) Stop(ctx context.Context) error { return n.do(ctx, Request{Method: "stop"}) }

// Mask implements recovery.Node.
func (n *Node) Mask(ctx context.Context) error { return n.do(ctx, Request{Method: "mask"}) }

// Unmask implements recovery.Node.
func (n *Node) Unmask(ctx context.Context) error { return n.do(ctx, Request{Method: "unmask"}) }

// PutBack implements recovery.Node.
func (n *Node) PutBack(ctx context.Context, label string) error {
	return n.do(ctx, Request{Method: "put_back", Label: label})
}

// Discard implements recovery.Node.
func (n *Node) Discard(ctx context.Context, label string) error {
	return n.do(ctx, Request{Method: "discard", Label: label})
}

// Configure implements recovery.Node.
func (n *Node) Configure(ctx context.Context, settings []recovery.Setting) error {
	return n.do(ctx, Request{Method: "configure", Settings: settings})
}

// Start implements recovery.Node.
func (n *Node) Start(ctx context.Context) error { return n.do(ctx, Request{Method: "start"}) }
