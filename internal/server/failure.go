package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/embed"
	servererrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"github.com/etcdops/etcdops/internal/logging"
	"github.com/etcdops/etcdops/ops"
)

// startFailures maps what upstream's start says to what we say; the first match counts. Upstream has no types for these.
func startFailures() []struct {
	text  string
	code  ops.Code
	class ops.Class
	hint  string
} {
	return []struct {
		text  string
		code  ops.Code
		class ops.Class
		hint  string
	}{
		{"has already been bootstrapped", "ETO-3036", ops.ClassRefused, "the cluster knows this member as one that has run; its data is lost: etcdops explain replace-member"},
		{"cannot fetch cluster info from peer urls", "ETO-3040", ops.ClassUnreachable, "check --initial-cluster, the network and the peer certificates"},
		{"error setting up initial cluster", "ETO-3041", ops.ClassUnreachable, "the SRV records must list this member under the host of --initial-advertise-peer-urls: dig SRV _etcd-server._tcp.DOMAIN"},
		{"member count is unequal", "ETO-3037", ops.ClassRefused, "--initial-cluster must list exactly the cluster's members: etcdops member list"},
		{"error validating peerURLs", "ETO-3037", ops.ClassRefused, "--initial-cluster must list exactly the cluster's members: etcdops member list"},
		{"incompatible with current running cluster", "ETO-3033", ops.ClassRefused, "the versions differ by more than one minor release: etcdops version, etcdops status"},
		{"found data inconsistency with peers", "ETO-3038", ops.ClassRefused, "replace the member, which takes the data anew from the others: etcdops explain replace-member"},
		{"does not match with snapshot", "ETO-3038", ops.ClassRefused, "replace the member, which takes the data anew from the others: etcdops explain replace-member"},
		{"of the backend is missing", "ETO-3034", ops.ClassRefused, "restore the directory, or replace the member: etcdops explain replace-member"},
		{"cannot access data directory", "ETO-3030", ops.ClassFailure, "the member's user must own the directory"},
		{"cannot access member directory", "ETO-3030", ops.ClassFailure, "the member's user must own the directory"},
		{"cannot write to", "ETO-3030", ops.ClassFailure, "the member's user must own the directory"},
		{"storage version", "ETO-3033", ops.ClassRefused, "run the version of etcd that wrote the data"},
		{"is not supported", "ETO-3033", ops.ClassRefused, "run the version of etcd that wrote the data"},
	}
}

// explainStart words why upstream's start failed.
func explainStart(cfg *embed.Config, err error) error {
	if _, ok := errors.AsType[*servererrors.DiscoveryError](err); ok {
		return &ops.HintError{
			Code: "ETO-3041", Class: ops.ClassUnreachable, Op: "start", Member: cfg.Name, Err: err,
			Hint: "a discovery token serves one cluster once: make a new one, with its size, and give it to every member",
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" && op.Addr != nil {
		return explainListen("the listen URLs", op.Addr.String(), err)
	}
	for _, f := range startFailures() {
		if strings.Contains(err.Error(), f.text) {
			return &ops.HintError{Code: f.code, Class: f.class, Op: "start", Member: cfg.Name, Err: err, Hint: strings.ReplaceAll(f.hint, "NAME", cfg.Name)}
		}
	}
	return &ops.HintError{Code: "ETO-3050", Class: ops.ClassFailure, Op: "start", Member: cfg.Name, Err: err, Hint: "the lines above say what etcd did last"}
}

// explainFatal words an entry with which etcd gives up. Acknowledged writes are on the disk: etcd syncs before it answers.
func explainFatal(cfg *embed.Config, f logging.FatalError) error {
	failure := &ops.HintError{Code: "ETO-3050", Class: ops.ClassFailure, Op: "run member", Member: cfg.Name, Err: f}
	text := f.Error()
	switch {
	case errors.Is(f, syscall.ENOSPC) || strings.Contains(text, "no space left"):
		failure.Code, failure.Hint = "ETO-3051", "free space on the file system: df -h "+absolute(cfg.Dir)
	case errors.Is(f, syscall.EIO) || errors.Is(f, syscall.EROFS) || strings.Contains(text, "input/output error"):
		failure.Code = "ETO-3052"
		failure.Hint = "the disk fails (dmesg says how): do not restart on it; on a good disk: etcdops explain replace-member"
	case strings.Contains(text, "was the raft log corrupted, truncated, or lost"), strings.Contains(text, "cannot be repaired"),
		strings.Contains(text, "failed to recover v3 backend"), strings.Contains(text, "failed to find database snapshot"):
		failure.Code = "ETO-3038"
		failure.Hint = damagedHint
	case strings.Contains(text, "invalid downgrade"):
		failure.Code, failure.Class = "ETO-3033", ops.ClassRefused
		failure.Hint = "run the version of etcd that the cluster runs: etcdops status"
	case strings.Contains(text, "unmarshal should never fail"):
		failure.Code, failure.Class = "ETO-3033", ops.ClassRefused
		failure.Err = fmt.Errorf("its log has entries that etcd %s cannot read, as a much older etcd wrote them: %w", version.Version, f)
		failure.Hint = "run the etcd that wrote the data, and go up one minor version at a time (3.4, 3.5, 3.6, 3.7); etcdops inspect " + absolute(cfg.Dir) + " tells which it was"
	default:
		failure.Hint = "the lines above say what etcd did last"
	}
	return failure
}

// explainListener words the end of a listener; a listener that waits for the member to be ready ends with the member.
func (s *Server) explainListener(err error) error {
	select {
	case <-s.etcd.Server.StoppingNotify():
		return s.explainEnd()
	default:
		return &ops.HintError{Code: "ETO-3053", Class: ops.ClassFailure, Op: "serve", Err: fmt.Errorf("a listener ended: %w", err), Hint: "the lines above say which"}
	}
}

// explainEnd tells why the member ended by itself. etcd has one reason: it was removed from the cluster, which its own copy
// of the member list does not know when the others told it.
func (s *Server) explainEnd() error {
	id, cluster := s.IDs()
	return refusal("ETO-3035", s.settings.Config.Dir, fmt.Errorf("member %s was removed from cluster %s", id, cluster),
		"to join again: etcdops explain replace-member; otherwise set the directory aside")
}
