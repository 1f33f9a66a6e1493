package health

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/ops"
)

// metrics scrapes a member once, when after is closed: the member's work for it would lengthen the time of its reads.
func (c *collector) metrics(ctx context.Context, after <-chan struct{}, url string) *MetricsAnswer {
	answer := &MetricsAnswer{}
	answer.Answer = Answer{SentUS: c.now()}
	err := c.cluster.Fetch(ctx, after, url, "/metrics", maxScrape, func(r io.Reader) (err error) {
		answer.Metrics, err = ParseMetrics(r)
		return err
	})
	answer.TookUS = c.now() - answer.SentUS
	if err != nil {
		answer.Metrics = nil
		answer.Failure = c.webFailure(ctx, err)
	}
	return answer
}

// webFailure turns the error of a connection beside gRPC into a fact.
func (c *collector) webFailure(ctx context.Context, err error) *Failure {
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return &Failure{Kind: KindHung, Message: "no answer for " + c.opts.Bound.String()}
	}
	return &Failure{Kind: KindError, Message: err.Error()}
}

// askPeers starts a handshake with each https peer URL that was not looked at yet.
func (c *collector) askPeers(ctx context.Context, members []ops.Member) {
	if c.opts.Depth < DepthNormal || c.light {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range members {
		for _, url := range m.PeerURLs {
			if c.peers[url] != nil || len(c.peers) >= maxEndpoints || !strings.HasPrefix(url, "https://") {
				continue
			}
			p := &Peer{Member: m.ID, URL: url}
			c.peers[url] = p
			c.pending.Go(func() { c.shake(ctx, p) })
		}
	}
}

// shake looks at the certificate of one peer URL.
func (c *collector) shake(ctx context.Context, p *Peer) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Bound)
	defer cancel()
	p.Connect = Answer{SentUS: c.now()}
	chain, err := c.cluster.Handshake(ctx, p.URL)
	p.Connect.TookUS = c.now() - p.Connect.SentUS
	if len(chain) > 0 {
		p.Certificate = certificateOf(chain[0])
	}
	if err != nil {
		p.Connect.Failure = c.webFailure(ctx, err)
	}
}

// certificateOf keeps what is judged of a certificate.
func certificateOf(cert *x509.Certificate) *Certificate {
	out := &Certificate{
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), Authority: cert.IsCA,
	}
	out.Names = append(out.Names, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		out.Names = append(out.Names, ip.String())
	}
	for _, usage := range cert.ExtKeyUsage {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			out.Usages = append(out.Usages, usageServer)
		case x509.ExtKeyUsageClientAuth:
			out.Usages = append(out.Usages, usageClient)
		case x509.ExtKeyUsageAny:
			out.Usages = append(out.Usages, usageAny)
		default:
			out.Usages = append(out.Usages, usageOther)
		}
	}
	if len(cert.UnknownExtKeyUsage) > 0 {
		out.Usages = append(out.Usages, usageOther)
	}
	return out
}

// The words for extended key usages.
const (
	usageServer = "server"
	usageClient = "client"
	usageAny    = "any"
	usageOther  = "other"
)

// The words for what a file of certificates is used for.
const (
	useClient    = "client"
	useAuthority = "authority"
)

const (
	maxCertificateFile = 4 << 20
	maxCertificates    = 256 // of one file; a system's bundle has about 150
)

// files reads the certificates of the files that the caller's settings name. That they fit was checked before any
// connection was made: here only their ends are of interest.
func (c *collector) files() []CertificateFile {
	var out []CertificateFile
	for _, f := range []CertificateFile{{Path: c.cfg.TLS.CACert, Use: useAuthority}, {Path: c.cfg.TLS.Cert, Use: useClient}} {
		if f.Path == "" {
			continue
		}
		certs, err := readCertificates(f.Path)
		f.Certificates = []Certificate{}
		if err != nil {
			f.Problem = err.Error()
		}
		for i, cert := range certs {
			if f.Use == useClient && i > 0 {
				break // what follows is the chain above the client's own
			}
			f.Certificates = append(f.Certificates, *certificateOf(cert))
		}
		out = append(out, f)
	}
	return out
}

func readCertificates(path string) (certs []*x509.Certificate, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxCertificateFile))
	if err != nil {
		return nil, err
	}
	for len(certs) < maxCertificates {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return certs, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// hashRounds is how often members are asked for a hash until they can be compared: a compaction between the answers
// makes them differ.
const hashRounds = 3

// hash asks all voters for the hash of their data at one revision, again while they cannot be compared or differ.
func (c *collector) hash(ctx context.Context) {
	for range hashRounds {
		v := newView(c.facts())
		revision := v.commonRevision()
		if revision <= 0 || ctx.Err() != nil {
			return
		}
		c.hashRound(ctx, v, revision)
		if newView(c.facts()).hashesAgree() {
			return
		}
		c.resample(ctx)
	}
}

// hashRound asks each voter once, and each learner at its peer URL: it refuses a client.
func (c *collector) hashRound(ctx context.Context, v *view, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.HashBound)
	defer cancel()
	var requests sync.WaitGroup
	for _, m := range v.members {
		if len(m.answered) == 0 {
			continue
		}
		e := c.asked[m.answered[0].URL]
		if m.learns() {
			requests.Go(func() { e.Hashes = append(e.Hashes, c.peerHashAt(ctx, m, v.clusterID, revision)) })
			continue
		}
		requests.Go(func() {
			conn, err := c.cluster.Conn(ctx, e.URL)
			if err != nil {
				return // the status that it gave a moment ago stands
			}
			e.Hashes = append(e.Hashes, c.hashAt(ctx, e.URL, conn, revision))
		})
	}
	requests.Wait()
}

// peerHashAt asks a learner for its hash as its peers would.
func (c *collector) peerHashAt(ctx context.Context, m *member, cluster ops.ClusterID, revision int64) HashAnswer {
	answer := HashAnswer{Revision: revision, Answer: Answer{SentUS: c.now()}}
	err := errors.New("it advertises no peer URL")
	for _, url := range m.PeerURLs {
		if answer.Hash, answer.Compact, err = c.cluster.PeerHash(ctx, url, cluster, revision); err == nil {
			break
		}
	}
	answer.TookUS = c.now() - answer.SentUS
	if err != nil {
		answer.Failure = c.webFailure(ctx, err)
	}
	return answer
}

func (c *collector) hashAt(ctx context.Context, url string, conn grpc.ClientConnInterface, revision int64) HashAnswer {
	answer := HashAnswer{Revision: revision}
	answer.Answer = c.timed(ctx, url, func() error {
		resp, err := pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
		if err == nil {
			answer.Hash, answer.Compact = resp.GetHash(), resp.GetCompactRevision()
		}
		return err
	})
	if answer.Failure != nil {
		return answer
	}
	all := []byte{0}
	resp, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{
		Key: all, RangeEnd: all, Revision: revision, CountOnly: true, Serializable: true,
	})
	if err == nil { // a user may be kept from counting: then the number is not known
		keys := resp.GetCount()
		answer.Keys = &keys
	}
	return answer
}
