// Package manual drives a machine that nothing reaches: a person does what it says, and recovery sees from outside when it
// was done.
package manual

import (
	"context"
	"fmt"
	"strings"

	"github.com/etcdops/etcdops/recovery"
)

// Node is a machine that a person works on.
type Node struct {
	member string
	why    string
	say    func(text string)
}

// New drives the machine of a member by telling a person, through say, what to do; why says why no other driver does.
func New(member, why string, say func(string)) *Node {
	return &Node{member: member, why: why, say: say}
}

func (n *Node) tell(format string, args ...any) { n.say(fmt.Sprintf(format, args...)) }

// Survey implements recovery.Node.
func (n *Node) Survey(context.Context) (recovery.Survey, error) {
	return recovery.Survey{Driver: "manual", Why: n.why, Manual: true, Settings: []recovery.Setting{}, Dirs: []recovery.Dir{}, Files: []string{}}, nil
}

// Status implements recovery.Node: nothing is known here.
func (n *Node) Status(context.Context) (recovery.NodeStatus, error) {
	return recovery.NodeStatus{}, nil
}

// Stop implements recovery.Node.
func (n *Node) Stop(context.Context) error {
	n.tell(`on the machine of %s: stop etcd, and keep it from starting:
  systemd:    systemctl mask --now etcd
  static pod: mv /etc/kubernetes/manifests/etcd.yaml /root/`, n.member)
	return nil
}

// Mask implements recovery.Node; Stop tells both.
func (n *Node) Mask(context.Context) error { return nil }

// Unmask implements recovery.Node; Start tells both.
func (n *Node) Unmask(context.Context) error { return nil }

// SetAside implements recovery.Node.
func (n *Node) SetAside(_ context.Context, label string) ([]recovery.Aside, error) {
	n.tell(`on the machine of %s: rename its data directory, and a separate WAL directory; delete nothing:
  mv /var/lib/etcd /var/lib/etcd.etcdops-%s`, n.member, label)
	return nil, nil
}

// PutBack implements recovery.Node.
func (n *Node) PutBack(_ context.Context, label string) error {
	n.tell("on the machine of %s: rename the directories that end in .etcdops-%s back", n.member, label)
	return nil
}

// Discard implements recovery.Node.
func (n *Node) Discard(_ context.Context, label string) error {
	n.tell("on the machine of %s: the directories that end in .etcdops-%s can be removed", n.member, label)
	return nil
}

// Configure implements recovery.Node.
func (n *Node) Configure(_ context.Context, settings []recovery.Setting) error {
	var lines []string
	for _, s := range settings {
		lines = append(lines, "  --"+s.Name+"="+s.Value)
	}
	n.tell("on the machine of %s: give etcd these settings, and leave all others as they are:\n%s", n.member, strings.Join(lines, "\n"))
	return nil
}

// Start implements recovery.Node.
func (n *Node) Start(context.Context) error {
	n.tell(`on the machine of %s: start etcd:
  systemd:    systemctl unmask etcd; systemctl start etcd
  static pod: mv /root/etcd.yaml /etc/kubernetes/manifests/`, n.member)
	return nil
}
