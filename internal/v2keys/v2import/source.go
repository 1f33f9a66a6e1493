// Package v2import copies a tree of the old keys API into the store of v3, where serve --enable-v2-keys serves it.
//
// Reading, planning and writing are apart: a plan is made of the source and of what the target holds, and writes only what is
// missing there. So an import that was stopped is finished by running it again.
package v2import

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/v2keys"
	"github.com/etcdops/etcdops/ops"
)

// The codes of what can go wrong with a source or a plan.
const (
	CodeConflict ops.Code = "ETO-4190"
	CodeStopped  ops.Code = "ETO-4191"
	CodeSource   ops.Code = "ETO-5190"
	CodeDump     ops.Code = "ETO-5191"
)

// Node is a file or directory of the old tree.
type Node struct {
	Path    string
	Dir     bool
	Value   string
	Expires time.Time // zero: never
}

// sourceNode is a node as the old API shows it.
type sourceNode struct {
	Key        string       `json:"key"`
	Dir        bool         `json:"dir"`
	Value      string       `json:"value"`
	Expiration *time.Time   `json:"expiration"`
	TTL        int64        `json:"ttl"`
	Nodes      []sourceNode `json:"nodes"`
}

// sourceAnswer is an answer of the old API.
type sourceAnswer struct {
	Action    string      `json:"action"`
	Node      *sourceNode `json:"node"`
	ErrorCode int         `json:"errorCode"` //nolint:tagliatelle // the old API's name
	Message   string      `json:"message"`
	Cause     string      `json:"cause"`
}

// Source is an old tree.
type Source struct {
	Nodes []Node // parents before their children
	Index uint64 // of raft, that a server's snapshot stands at: what was written behind it is not there. 0: not a snapshot
}

// Progress hears how many bytes of a stage are done; total is 0 when it is not known.
type Progress func(stage string, done, total int64)

// maxSource bounds the answer of an old cluster: it has to fit into memory.
const maxSource = 2 << 30

// FromURL reads the tree of a running etcd 2.x to 3.5 below the given paths, each with a read that a quorum has confirmed. The
// old API lists no hidden nodes (names with a leading _): they must be among the paths.
func FromURL(ctx context.Context, client *http.Client, base string, paths []string, progress Progress) (*Source, error) {
	var all []Node
	read := &counter{progress: progress}
	for _, p := range paths {
		p = path.Clean("/" + p)
		answer, err := fetch(ctx, client, base, p, read)
		if err != nil {
			return nil, &ops.HintError{
				Code: CodeSource, Class: classOf(err), Op: "read keys of", Member: base, Err: err,
				Hint: "curl '" + base + "/v2/keys/' must answer; servers of 3.4 and 3.5 need --enable-v2",
			}
		}
		// The source's clock need not be ours: what counts is the time that is left.
		all = append(all, flatten(answer.Node, p, func(n *sourceNode) time.Time {
			return time.Now().Add(time.Duration(n.TTL) * time.Second)
		})...)
	}
	return &Source{Nodes: normalise(all)}, nil
}

// counter tells how much was read.
type counter struct {
	io.Reader
	done     int64
	progress Progress
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.done += int64(n)
	c.progress("read", c.done, 0)
	return n, err
}

// classOf tells a source that cannot be reached from one that answers something else.
func classOf(err error) ops.Class {
	if _, unreachable := errors.AsType[*url.Error](err); unreachable {
		return ops.ClassUnreachable
	}
	return ops.ClassFailure
}

// fetch reads one subtree.
func fetch(ctx context.Context, client *http.Client, base, p string, read *counter) (*sourceAnswer, error) {
	target := strings.TrimSuffix(base, "/") + "/v2/keys" + (&url.URL{Path: p}).EscapedPath() + "?recursive=true&sorted=true&quorum=true"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read only
	read.Reader = resp.Body
	answer, err := parse(read)
	switch {
	case err != nil && resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s", resp.Status)
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s: %s (%s)", resp.Status, answer.Message, answer.Cause)
	}
	return answer, nil
}

// parse reads one answer, and nothing behind it.
func parse(r io.Reader) (*sourceAnswer, error) {
	limited := &io.LimitedReader{R: r, N: maxSource}
	var answer sourceAnswer
	if err := json.NewDecoder(limited).Decode(&answer); err != nil {
		if limited.N <= 0 {
			return nil, errors.New("the tree is larger than 2 GiB")
		}
		return nil, err
	}
	if answer.ErrorCode == 0 && (answer.Action != "get" || answer.Node == nil) {
		return nil, errors.New("this is no answer to a GET of /v2/keys")
	}
	return &answer, nil
}

// flatten lists a subtree.
func flatten(n *sourceNode, at string, expires func(*sourceNode) time.Time) []Node {
	node := Node{Path: path.Clean("/" + at), Dir: n.Dir, Value: n.Value}
	if n.Expiration != nil {
		if at := expires(n); time.Until(at) < v2keys.MaxTTL*time.Second {
			node.Expires = at
		}
	}
	all := []Node{node}
	for i := range n.Nodes {
		all = append(all, flatten(&n.Nodes[i], n.Nodes[i].Key, expires)...)
	}
	return all
}

// normalise sorts the nodes, drops the root and doubles, and adds the directories that nobody listed.
func normalise(nodes []Node) []Node {
	byPath := map[string]Node{}
	for _, n := range nodes {
		if n.Path != "/" {
			byPath[n.Path] = n
		}
	}
	for _, n := range nodes {
		for dir := path.Dir(n.Path); dir != "/"; dir = path.Dir(dir) {
			if _, listed := byPath[dir]; !listed {
				byPath[dir] = Node{Path: dir, Dir: true}
			}
		}
	}
	all := make([]Node, 0, len(byPath))
	for _, n := range byPath {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	return all
}
