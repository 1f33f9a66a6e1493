package v2import

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/internal/v2keys"
	"github.com/etcdops/etcdops/ops"
)

// FromFile reads what curl has saved of GET /v2/keys/?recursive=true, or a snapshot of a server of 2.x to 3.5
// (member/snap/*.snap in its data directory), which has hidden nodes too. Times are those of the old cluster's clock.
func FromFile(name string) (*Source, error) {
	source, err := fromFile(name)
	if err != nil {
		return nil, &ops.HintError{
			Code: CodeDump, Class: ops.ClassUsage, Op: "read dump", Member: name, Err: err,
			Hint: "make one: curl 'http://OLD:2379/v2/keys/?recursive=true&quorum=true' > tree.json",
		}
	}
	return source, nil
}

func fromFile(name string) (*Source, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // read only
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case info.Size() > maxSource:
		return nil, errors.New("the file is larger than 2 GiB")
	}
	text := bufio.NewReader(file)
	if first, err := text.Peek(1); err == nil && first[0] == snapStart {
		return fromSnapshot(name)
	}
	return fromDump(text)
}

// fromDump reads an answer of the old API.
func fromDump(r io.Reader) (*Source, error) {
	answer, err := parse(r)
	if err != nil {
		return nil, err
	}
	if answer.ErrorCode != 0 {
		return nil, fmt.Errorf("it holds an error of the old cluster: %s (%s)", answer.Message, answer.Cause)
	}
	return &Source{Nodes: normalise(flatten(answer.Node, answer.Node.Key, func(n *sourceNode) time.Time { return *n.Expiration }))}, nil
}

// snapStart begins a server's snapshot: the tag of its checksum.
const snapStart = 0x08

// keysNode is the directory of an old server's store that holds what clients wrote; members stand beside it.
const keysNode = "1"

// storedNode is a node as old servers keep it in their snapshots; a directory is one that has children, maybe none.
type storedNode struct {
	Value      string                 `json:"Value"`      //nolint:tagliatelle // the old server's name
	ExpireTime time.Time              `json:"ExpireTime"` //nolint:tagliatelle // as above; zero: never
	Children   map[string]*storedNode `json:"Children"`   //nolint:tagliatelle // as above
}

// fromSnapshot reads a server's snapshot, whose checksum must be right.
func fromSnapshot(name string) (*Source, error) {
	snapshot, err := snap.Read(zap.NewNop(), name)
	if err != nil {
		return nil, fmt.Errorf("as a server's snapshot: %w", err)
	}
	var stored struct {
		Root *storedNode `json:"Root"` //nolint:tagliatelle // the old server's name
	}
	if err := json.Unmarshal(snapshot.GetData(), &stored); err != nil {
		return nil, fmt.Errorf("the server's snapshot holds no store of the old API: %w", err)
	}
	if stored.Root == nil || stored.Root.Children[keysNode] == nil {
		return nil, errors.New("the server's snapshot holds no tree of the old API")
	}
	all := stored.Root.Children[keysNode].list("/", nil)
	return &Source{Nodes: normalise(all), Index: snapshot.GetMetadata().GetIndex()}, nil
}

// list adds a subtree to all.
func (n *storedNode) list(at string, all []Node) []Node {
	node := Node{Path: at, Dir: n.Children != nil, Value: n.Value}
	if !n.ExpireTime.IsZero() && time.Until(n.ExpireTime) < v2keys.MaxTTL*time.Second {
		node.Expires = n.ExpireTime
	}
	all = append(all, node)
	for name, child := range n.Children {
		if child != nil {
			all = child.list(path.Join(at, name), all)
		}
	}
	return all
}
