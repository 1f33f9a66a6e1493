// Package node finds the driver for a member's machine.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/internal/node/manual"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/internal/node/staticpod"
	"github.com/etcdops/etcdops/internal/node/systemd"
	"github.com/etcdops/etcdops/internal/node/wire"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// Options are what drivers need beside their own words.
type Options struct {
	Say       func(text string) // tells a person what to do
	SSHConfig string            // file for ssh -F; empty for ssh's own
}

// Open makes the driver that via names: DRIVER or DRIVER:ARGUMENT. An empty via is discovered; the returned text names
// what was found, so that a later run opens the same.
func Open(ctx context.Context, via, member string, opts Options) (recovery.Node, string, error) {
	driver, arg, _ := strings.Cut(via, ":")
	switch driver {
	case "manual":
		return manual.New(member, "--via manual", opts.Say), via, nil
	case "process":
		if arg == "" {
			return nil, "", badVia(via, "process:FILE names the specification of the member's command")
		}
		file, err := filepath.Abs(arg) // a run that resumes may stand in another directory
		if err != nil {
			return nil, "", badVia(via, err.Error())
		}
		return process.New(file), driver + ":" + file, nil
	case "systemd":
		return systemd.New(cmp.Or(arg, "etcd")), via, nil
	case "static-pod":
		path := cmp.Or(arg, staticpod.Manifest)
		if !filepath.IsAbs(path) {
			return nil, "", badVia(via, "static-pod:MANIFEST is the absolute path of the manifest in the kubelet's directory")
		}
		if err := managed(path, member); err != nil {
			return nil, "", err
		}
		return staticpod.New(path), via, nil
	case "hooks":
		if !filepath.IsAbs(arg) {
			return nil, "", badVia(via, "hooks:PROGRAM is an absolute path")
		}
		return wire.Hooks(member, arg), via, nil
	case "ssh":
		host, there, _ := strings.Cut(arg, "/")
		n, err := wire.SSH(member, host, there, opts.SSHConfig)
		if err != nil {
			return nil, "", badVia(via, "ssh:[USER@]HOST or ssh:[USER@]HOST/DRIVER:ARGUMENT ("+err.Error()+")")
		}
		return n, via, nil
	case "":
		f, why, err := thisMachine().discover(ctx, member)
		if err != nil || f.node != nil {
			return f.node, f.via, err
		}
		return manual.New(member, why, opts.Say), "manual", nil
	}
	return nil, "", noDriver(via, fmt.Errorf("there is no driver %q", via), "drivers: systemd:UNIT, static-pod:MANIFEST, process:FILE, hooks:PROGRAM, ssh:HOST, manual")
}

// badVia says that a driver lacks what it needs.
func badVia(via, hint string) error {
	return noDriver(via, errors.New("what follows the colon is missing, or is not of the form that the driver needs"), hint)
}

func noDriver(via string, cause error, hint string) error {
	return &ops.HintError{
		Code: recovery.CodeNoDriver, Class: ops.ClassUsage, Op: "choose a driver", Member: via,
		Err: cause, Hint: hint,
	}
}
