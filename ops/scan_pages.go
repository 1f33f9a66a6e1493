package ops

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const (
	// pageMemory is what one page may take here, received and decoded. A server before 3.7 counts all the remaining keys for every page, so
	// small pages make a scan quadratic: this is some 50,000 keys without values (1,000,000 keys: 3.6 s, by pages of
	// 1,000 it is 120 s).
	pageMemory = 16 << 20
	// keyMemory is what a decoded key takes beside its own bytes.
	keyMemory = 160
	// pageGrowth bounds how much larger the next page may be: larger values may begin anywhere.
	pageGrowth = 4
	// pageMessage is the largest page accepted; a larger one is asked for again in smaller pages.
	pageMessage = 48 << 20
)

// pager chooses how many keys the next page has, by the sizes seen.
type pager struct {
	keys int64
}

func newPager(keysOnly bool) pager {
	if keysOnly {
		return pager{keys: 50_000}
	}
	return pager{keys: 1_000}
}

// saw takes a page of n keys that were bytes on the wire into account.
func (p *pager) saw(n, bytes int) {
	if n == 0 {
		return
	}
	each := int64(2*bytes/n + keyMemory)
	p.keys = max(1, min(pageMemory/each, p.keys*pageGrowth))
}

// tooLarge reports whether a page can be made smaller, and makes it so.
func (p *pager) tooLarge() bool {
	if p.keys == 1 {
		return false
	}
	p.keys = max(1, p.keys/8)
	return true
}

// pages reads from where the scan stands by Range requests, for servers that do not stream.
func (s *Scan) pages(ctx context.Context, yield func([]*mvccpb.KeyValue) bool) (done bool, err error) {
	for {
		request := s.request()
		if request.Limit == 0 || request.Limit > s.page.keys {
			request.Limit = s.page.keys
		}
		limit := s.pageLimit
		if s.page.keys == 1 {
			limit = s.maxRecv // one value cannot be divided
		}
		pageCtx, cancel := context.WithTimeoutCause(ctx, s.silence, errSilence)
		resp, err := clientv3.RetryKVClient(s.client).Range(pageCtx, request, grpc.MaxCallRecvMsgSize(limit))
		err = causeOfEnd(pageCtx, err)
		cancel()
		if err != nil {
			return false, err
		}
		seen := s.seen
		s.page.saw(len(resp.GetKvs()), proto.Size(resp))
		s.advance(resp.GetKvs())
		if len(resp.GetKvs()) > 0 && !yield(resp.GetKvs()) {
			return true, nil
		}
		if !resp.GetMore() || s.seen == s.opts.Limit {
			s.total = ScanTotal{Seen: s.seen, Count: seen + resp.GetCount(), More: resp.GetMore()}
			return true, nil
		}
	}
}
