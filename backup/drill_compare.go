package backup

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// drillExpectation is what a server that was started on a restored backup must have beside its keys.
type drillExpectation struct {
	leases       []Lease // as far as the manifest lists them
	most         int64   // leases that there can be
	authRevision uint64
}

// expected is what a restore of a backup wrote.
func expected(m *Manifest, got Restored) drillExpectation {
	w := drillExpectation{leases: append([]Lease{}, m.Leases...), most: m.LeaseCount + int64(len(got.Leases)), authRevision: max(1, m.AuthRevision)} // a server counts from 1
	for _, id := range got.Leases {
		w.leases = append(w.leases, Lease{ID: id, TTL: defaultLeaseTTL})
	}
	return w
}

// compare asks a server that was started at some time for its leases and the revision of its users. It returns how many leases it has.
func (w drillExpectation) compare(ctx context.Context, client *clientv3.Client, begun time.Time) (int, error) {
	resp, err := client.Leases(ctx)
	if err != nil {
		return 0, fmt.Errorf("list leases: %w", err)
	}
	have := make(map[int64]bool, len(resp.Leases))
	for _, l := range resp.Leases {
		have[int64(l.ID)] = true
	}
	if err := w.leasesMissing(have, time.Since(begun)); err != nil {
		return len(have), err
	}
	auth, err := client.AuthStatus(ctx)
	switch {
	case status.Code(err) == codes.Unimplemented: // before 3.5: there the verification of the file has to do
		return len(have), nil
	case err != nil:
		return len(have), fmt.Errorf("ask for the revision of its users: %w", err)
	case auth.AuthRevision != w.authRevision:
		return len(have), fmt.Errorf("its users are of revision %d, those of the backup of %d", auth.AuthRevision, w.authRevision)
	}
	return len(have), nil
}

// leaseSlack is by how much a lease may end early: a server that is busy counts its time otherwise than we do.
const leaseSlack = 10 * time.Second

// leasesMissing compares the leases that a server has some time after its start with those that it must have by then.
func (w drillExpectation) leasesMissing(have map[int64]bool, since time.Duration) error {
	for _, l := range w.leases {
		if ends := time.Duration(l.TTL) * time.Second; !have[l.ID] && ends > since+leaseSlack {
			return fmt.Errorf("it has no lease %x, whose time to live is %v", l.ID, ends)
		}
	}
	if int64(len(have)) > w.most {
		return fmt.Errorf("it has %d leases, the backup %d", len(have), w.most)
	}
	return nil
}
