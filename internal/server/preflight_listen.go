package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/etcdops/etcdops/ops"
)

// checkAddresses binds every TCP address for an instant, so that a taken one is found before the data directory is made:
// upstream binds the metrics addresses last. Addresses that are meant to be shared are left alone.
func checkAddresses(ctx context.Context, cfg *embed.Config) error {
	if cfg.SocketOpts.ReusePort {
		return nil
	}
	owner := map[string]string{}
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // nothing was accepted
		}
	}()
	for _, list := range []struct {
		flag string
		urls []url.URL
	}{
		{"--listen-peer-urls", cfg.ListenPeerUrls},
		{"--listen-client-urls", cfg.ListenClientUrls},
		{"--listen-client-http-urls", cfg.ListenClientHttpUrls},
		{"--listen-metrics-urls", cfg.ListenMetricsUrls},
	} {
		for _, u := range list.urls {
			if u.Scheme != "http" && u.Scheme != "https" {
				continue
			}
			other, taken := owner[u.Host]
			switch {
			case taken && other == list.flag: // http and https share one address
				continue
			case taken && u.Port() != "0":
				return usageError("ETO-3004", "check settings", u.Host, fmt.Errorf("%s and %s want the same address", other, list.flag),
					"give each its own port")
			}
			owner[u.Host] = list.flag
			l, err := new(net.ListenConfig).Listen(ctx, "tcp", u.Host)
			if err != nil {
				return explainListen(list.flag, u.Host, err)
			}
			held = append(held, l)
		}
	}
	return nil
}

// explainListen words the failure to bind an address.
func explainListen(flagName, address string, err error) error {
	failure := &ops.HintError{Code: "ETO-3021", Class: ops.ClassFailure, Op: "listen on", Member: address, Err: cause(err)}
	_, portText, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(portText)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		failure.Code = "ETO-3020"
		failure.Err = errors.New("the port is in use")
		failure.Hint = fmt.Sprintf("stop what holds it (ss -ltnp 'sport = :%d' shows it), or change %s", port, flagName)
		if holder := portHolder(port); holder != "" {
			failure.Err = fmt.Errorf("the port is in use by %s", holder)
			failure.Hint = "stop it, or change " + flagName
		}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		failure.Err = errors.New("this machine does not have the address")
		failure.Hint = "ip address lists what it has; 0.0.0.0 listens on all; change " + flagName
	case errors.Is(err, syscall.EACCES):
		failure.Hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE; or change " + flagName
	default:
		failure.Hint = "change " + flagName
	}
	return failure
}

// cause is the innermost error of a network operation: the address is named already.
func cause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
