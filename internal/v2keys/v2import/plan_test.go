package v2import

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/v2keys"
	"github.com/etcdops/etcdops/ops"
)

// TestCompare plans against targets of every kind: nothing is written over, what is there is not written again.
func TestCompare(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	source := []Node{
		{Path: "/a", Dir: true},
		{Path: "/a/f", Value: "x"},
		{Path: "/a/late", Value: "y", Expires: now.Add(time.Minute)},
		{Path: "/gone", Dir: true, Expires: now},
		{Path: "/gone/f", Value: "z"},
	}
	for name, c := range map[string]struct {
		there     []v2keys.Node
		write     string
		present   int
		conflicts string
	}{
		"empty":   {nil, "/a /a/f /a/late", 0, ""},
		"all":     {[]v2keys.Node{{Path: "/a", Dir: true}, {Path: "/a/f", Value: "x"}, {Path: "/a/late", Value: "y", Expires: true}}, "", 3, ""},
		"half":    {[]v2keys.Node{{Path: "/a", Dir: true}, {Path: "/b", Value: "other"}}, "/a/f /a/late", 1, ""},
		"value":   {[]v2keys.Node{{Path: "/a/f", Value: "other"}}, "/a /a/late", 0, "/a/f"},
		"kind":    {[]v2keys.Node{{Path: "/a", Value: "a file"}}, "/a/f /a/late", 0, "/a"},
		"forever": {[]v2keys.Node{{Path: "/a/late", Value: "y"}}, "/a /a/f", 0, "/a/late"},
	} {
		there := map[string]v2keys.Node{}
		for _, n := range c.there {
			there[n.Path] = n
		}
		p := compare(source, there, now)
		var write []string
		for _, n := range p.Write {
			write = append(write, n.Path)
		}
		if strings.Join(write, " ") != c.write || p.Present != c.present || strings.Join(p.Conflicts, " ") != c.conflicts || p.Expired != 2 {
			t.Errorf("%s: writes %v, %d present, conflicts %v, %d expired", name, write, p.Present, p.Conflicts, p.Expired)
		}
		if err := p.Refusal(); (ops.CodeOf(err) == CodeConflict) != (c.conflicts != "") {
			t.Errorf("%s: refusal %v", name, err)
		}
	}
}

// TestFromFile reads dumps, and refuses what is none.
func TestFromFile(t *testing.T) {
	t.Parallel()
	nodes, err := read(t, `{"action":"get","node":{"key":"/a/b","dir":true,"nodes":[{"key":"/a/b/c","value":"x"}]}}`)
	want := []Node{{Path: "/a", Dir: true}, {Path: "/a/b", Dir: true}, {Path: "/a/b/c", Value: "x"}}
	if err != nil || !slices.Equal(nodes, want) {
		t.Errorf("%v, %v, want %v", nodes, err, want)
	}
	nodes, err = read(t, `{"action":"get","node":{"key":"/a","value":"x","expiration":"2999-01-01T00:00:00Z"}}`)
	if err != nil || len(nodes) != 1 || !nodes[0].Expires.IsZero() {
		t.Errorf("a time that no lease reaches: %v, %v", nodes, err)
	}
	for _, text := range []string{``, `x`, "\x08", "\x08\x01\x12\x01x", `{}`, `[]`, `{"action":"set","node":{}}`, `{"errorCode":100,"message":"Key not found","cause":"/a"}`} {
		if _, err := read(t, text); ops.CodeOf(err) != CodeDump {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// read reads a file that holds a text.
func read(t *testing.T, text string) ([]Node, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := FromFile(name)
	if err != nil {
		return nil, err
	}
	return source.Nodes, nil
}

// TestFitting keeps transactions small, and never empty.
func TestFitting(t *testing.T) {
	t.Parallel()
	large := Node{Path: "/x", Value: strings.Repeat("x", maxBatch)}
	for want, batch := range map[int][]Node{1: {large, large}, 2: {{Path: "/a"}, {Path: "/b"}}} {
		if got := len(fitting(batch)); got != want {
			t.Errorf("%d of %d nodes, want %d", got, len(batch), want)
		}
	}
}
