package ops

import (
	"context"
	"errors"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// MayReconfigure finds out whether this client may change the membership, without changing anything and without a
// proposal: it asks for the hash of a revision that is far in the future, which servers since 3.5 allow to the same users,
// and refuse to compute. The error is a *HintError of ClassRefused when the right is missing. Older servers answer
// everybody alike; they check the right themselves before anything else.
func (c *Cluster) MayReconfigure(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CommandTimeout)
	defer cancel()
	conn, err := c.Conn(ctx, endpoint)
	if err != nil {
		return err
	}
	_, err = pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: math.MaxInt64})
	known := rpctypes.Error(err)
	if errors.Is(known, rpctypes.ErrPermissionDenied) || errors.Is(known, rpctypes.ErrUserEmpty) {
		return noRight("change the membership", endpoint, known)
	}
	return nil
}

// noRight refuses for a right that is missing.
func noRight(op, endpoint string, cause error) error {
	return &HintError{
		Code: CodePermissionDenied, Class: ClassRefused, Op: op, Member: endpoint,
		Err:  &serverError{"this user may not change the membership: that takes the role root; nothing was changed", cause},
		Hint: "name a user with the role root: --user root --password-file FILE",
	}
}
