package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// simulated answers what health asks as a healthy member does, over TLS, without a datastore behind it: hundreds of real
// members do not fit on one machine.
type simulated struct {
	pb.UnimplementedKVServer
	pb.UnimplementedClusterServer
	pb.UnimplementedMaintenanceServer

	cluster, id uint64
	members     []*pb.Member // the first leads
	metrics     string
}

func (s *simulated) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: s.cluster, MemberId: s.id, Revision: 1000, RaftTerm: 2}
}

// Status implements pb.MaintenanceServer.
func (s *simulated) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{
		Header: s.header(), Version: "3.7.3", DbSize: 20 << 20, DbSizeInUse: 18 << 20, DbSizeQuota: 2 << 30, Leader: s.members[0].ID,
		RaftIndex: 2000, RaftAppliedIndex: 2000, RaftTerm: 2, StorageVersion: "3.7.0",
	}, nil
}

// Alarm implements pb.MaintenanceServer.
func (s *simulated) Alarm(context.Context, *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	return &pb.AlarmResponse{Header: s.header()}, nil
}

// MemberList implements pb.ClusterServer.
func (s *simulated) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: s.header(), Members: s.members}, nil
}

// Range implements pb.KVServer.
func (s *simulated) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: s.header()}, nil
}

// handler serves gRPC and the pages of one port.
func (s *simulated) handler() http.Handler {
	calls := grpc.NewServer()
	pb.RegisterKVServer(calls, s)
	pb.RegisterClusterServer(calls, s)
	pb.RegisterMaintenanceServer(calls, s)
	pages := http.NewServeMux()
	pages.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s.metrics) })
	pages.HandleFunc("/raft/probing", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"OK": true, "Now": time.Now()})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// simulate serves clusters of three and returns the endpoints of each, and the authority to trust.
func (l *lab) simulate(ctx context.Context, clusters int, metrics string) (endpoints [][]string, ca string, err error) {
	dir, err := l.tempDir("simulated")
	if err != nil {
		return nil, "", err
	}
	const host = "127.0.0.1"
	ca = filepath.Join(dir, "ca.pem")
	pair, err := selfSigned(net.ParseIP(host), ca)
	if err != nil {
		return nil, "", err
	}
	for c := range clusters {
		var urls []string
		var members []*pb.Member
		var listeners []net.Listener
		for m := range 3 {
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				return nil, "", err
			}
			url := "https://" + listener.Addr().String()
			listeners, urls = append(listeners, listener), append(urls, url)
			members = append(members, &pb.Member{
				ID: uint64(3*c + m + 1), Name: fmt.Sprintf("c%d-m%d", c, m+1), PeerURLs: []string{url}, ClientURLs: []string{url}, //nolint:gosec // small
			})
		}
		for m, listener := range listeners {
			s := &simulated{cluster: uint64(c + 1), id: members[m].ID, members: members, metrics: metrics} //nolint:gosec // small
			server := &http.Server{
				Handler: s.handler(), ReadHeaderTimeout: time.Minute,
				TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
			}
			go func() { _ = server.ServeTLS(listener, "", "") }()
			l.defers(server.Close)
		}
		endpoints = append(endpoints, urls)
	}
	return endpoints, ca, nil
}

// selfSigned makes a certificate for an address, with a key of the kind that is usual today, and writes it to a file.
func selfSigned(ip net.IP, file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(3, 0, 0),
		IPAddresses: []net.IP{ip}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(file, text, 0o600)
}
