package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/srv"

	"github.com/etcdops/etcdops/ops"
)

// Resolver looks up SRV records; *net.Resolver is one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// lookupSRV returns the endpoints that a domain's SRV records name: those with TLS first, the others only if insecure
// is set. Service names are etcd's: etcd-client-ssl and etcd-client, with -name behind.
func lookupSRV(ctx context.Context, resolver Resolver, domain, name string, insecure bool) ([]string, error) {
	var endpoints []string
	var failures []error
	schemes := []string{"https"}
	if insecure {
		schemes = append(schemes, "http")
	}
	for _, scheme := range schemes {
		_, records, err := resolver.LookupSRV(ctx, srv.GetSRVService("etcd-client", name, scheme), "tcp", domain)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for _, r := range records {
			host := net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
			endpoints = append(endpoints, scheme+"://"+host)
		}
	}
	if len(endpoints) > 0 {
		return endpoints, nil
	}
	service := srv.GetSRVService("etcd-client", name, "https")
	return nil, &ops.HintError{
		Code: CodeSRV, Class: ops.ClassUnreachable, Op: "discover endpoints of", Member: domain,
		Err:  fmt.Errorf("no SRV record names one: %w", errors.Join(failures...)),
		Hint: fmt.Sprintf("dig +short SRV _%s._tcp.%s", service, domain),
	}
}
