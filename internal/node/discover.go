package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/node/launch"
	"github.com/etcdops/etcdops/internal/node/staticpod"
	"github.com/etcdops/etcdops/internal/node/systemd"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// machine is where discovery looks.
type machine struct {
	root      string // of the files, / but in tests
	systemctl string
	processes func() []launch.Process
}

func thisMachine() machine {
	return machine{root: "/", systemctl: "systemctl", processes: launch.Members}
}

// found is something that starts the member.
type found struct {
	node recovery.Node
	via  string
}

// discover finds what starts the member on this machine. Without a result, why says what was seen.
func (m machine) discover(ctx context.Context, member string) (f found, why string, err error) {
	if err := m.owned(member); err != nil {
		return f, "", err
	}
	var all []found
	var process launch.Process
	for _, p := range m.processes() {
		if p.Launch.Name() == member {
			process = p
			break
		}
	}
	if f, ok := m.unit(ctx, member, process.Unit); ok {
		all = append(all, f)
	}
	if f, ok := m.manifest(ctx, member); ok {
		all = append(all, f)
	}
	switch {
	case len(all) == 1:
		return all[0], "", nil
	case len(all) > 1:
		return f, "", &ops.HintError{
			Code: recovery.CodeNoDriver, Class: ops.ClassUsage, Op: "find what starts", Member: member,
			Err:  fmt.Errorf("both %s and %s of this machine do", all[0].via, all[1].via),
			Hint: "say which one: --via " + all[0].via + " or --via " + all[1].via,
		}
	case process.PID != 0:
		why, err = processWhy(member, process)
		return f, why, err
	}
	return f, "nothing on this machine starts a member of this name; --via ssh:HOST works on its own", nil
}

// units are the names that distributions and installers give to etcd's service, then those that its name is part of.
func (m machine) units(of string) []string {
	out := []string{"etcd", "etcd-member", "etcdops", "etcd3"}
	if of != "" {
		out = append([]string{strings.TrimSuffix(of, ".service")}, out...)
	}
	for _, dir := range []string{"etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"} {
		files, err := filepath.Glob(filepath.Join(m.root, dir, "*etcd*.service"))
		if err != nil {
			continue
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".service")
			if !strings.Contains(name, "@") && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// unit finds a service that starts the member; that of its process is looked at first.
func (m machine) unit(ctx context.Context, member, of string) (found, bool) {
	for _, unit := range m.units(of) {
		n := systemd.New(unit)
		n.Systemctl = m.systemctl
		if s, err := n.Survey(ctx); err == nil && s.Name == member {
			return found{n, "systemd:" + unit}, true
		}
	}
	return found{}, false
}

// manifest finds a static pod that starts the member, also one whose manifest is held by an earlier run.
func (m machine) manifest(ctx context.Context, member string) (found, bool) {
	dir := filepath.Join(m.root, filepath.Dir(staticpod.Manifest))
	for _, path := range staticpod.Manifests(dir) {
		n := staticpod.New(path)
		if s, err := n.Survey(ctx); err == nil && s.Name == member {
			return found{n, "static-pod:" + path}, true
		}
	}
	return found{}, false
}

// distributions of Kubernetes that run etcd themselves, and write its settings at each of their starts.
func distributions() []string { return []string{"k3s", "rke2"} }

// owned refuses a member that k3s or rke2 runs: what a driver wrote would be undone.
func (m machine) owned(member string) error {
	for _, d := range distributions() {
		data, err := os.ReadFile(filepath.Join(m.root, "var/lib/rancher", d, "server/db/etcd/config"))
		if err != nil {
			continue
		}
		var settings struct {
			Name string `yaml:"name"`
		}
		if yaml.Unmarshal(data, &settings) == nil && settings.Name == member {
			return ownedBy(d, member)
		}
	}
	return nil
}

func ownedBy(distribution, member string) error {
	return &ops.HintError{
		Code: recovery.CodeNoDriver, Class: ops.ClassRefused, Op: "choose a driver", Member: member,
		Err: fmt.Errorf("%s runs this member itself and writes its settings anew at each start: nothing else can replace it", distribution),
		Hint: "kubectl delete node NODE takes it out of the cluster; then stop " + distribution + " there, move /var/lib/rancher/" + distribution +
			"/server/db away and join again (" + distribution + " server --server https://...)",
	}
}

// managed refuses a path that k3s or rke2 writes.
func managed(path, member string) error {
	for _, d := range distributions() {
		if strings.HasPrefix(path, "/var/lib/rancher/"+d+"/") {
			return ownedBy(d, member)
		}
	}
	return nil
}

// processWhy says what is known of a member that runs although nothing was found that starts it.
func processWhy(member string, p launch.Process) (string, error) {
	for _, d := range distributions() {
		if strings.HasPrefix(p.Unit, d) {
			return "", ownedBy(d, member)
		}
	}
	program := "an unknown program"
	if len(p.Launch.Args) > 0 {
		program = filepath.Base(p.Launch.Args[0])
	}
	via := "how it is started is not known here: --via process:FILE with its command in FILE, or --via hooks:PROGRAM"
	switch {
	case p.Kubelet:
		via = "the kubelet runs it, and its manifest was not found: --via static-pod:MANIFEST"
	case p.Container:
		via = "it is in a container that is not the kubelet's: --via hooks:PROGRAM"
	case p.Unit != "":
		via = fmt.Sprintf("the service %s runs it, and could not be read: --via systemd:%s says why", p.Unit, strings.TrimSuffix(p.Unit, ".service"))
	}
	return fmt.Sprintf("process %d (%s) of this machine runs a member of this name; %s", p.PID, program, via), nil
}

// errNothing is what the other end of ssh says where it finds nothing.
var errNothing = errors.New("name it: --via ssh:HOST/DRIVER:ARGUMENT")

// Here opens what works on a member of this machine, as the other end of ssh: nobody is there who could be told what to do.
func Here(ctx context.Context, via, member string) (recovery.Node, error) {
	n, found, err := Open(ctx, via, member, Options{Say: func(string) {}})
	if hint, ok := errors.AsType[*ops.HintError](err); ok { // an answer has no place of its own for hints
		return nil, fmt.Errorf("%w; %s", err, hint.Hint)
	}
	if err != nil {
		return nil, err
	}
	if found != "manual" {
		return n, nil
	}
	s, err := n.Survey(ctx)
	return nil, errors.Join(fmt.Errorf("%s: %w", s.Why, errNothing), err)
}
