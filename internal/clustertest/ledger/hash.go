package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Hash is one member's answer.
type Hash struct {
	Member          string
	Revision        int64 // that was asked for
	CompactRevision int64 // hashes of different ones cannot be compared
	Hash            uint32
}

// ErrIncomparable says that hashes were made of different parts of the history.
var ErrIncomparable = errors.New("hashes of different revisions or compactions")

// EqualHashes compares the hash of all keys and their history of every target at one revision. It asks again until ctx
// ends while a member has not come to that revision, or a compaction is on its way. A member that cannot answer is an
// error, as a difference is.
func EqualHashes(ctx context.Context, targets []Target) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		hashes, err := hashAll(ctx, targets)
		if err == nil {
			if err = CompareHashes(hashes); !errors.Is(err, ErrIncomparable) {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("compare hashes: %w", err)
		}
	}
}

// CompareHashes judges the answers of all members: nil means that they hold the same.
func CompareHashes(hashes []Hash) error {
	if len(hashes) == 0 {
		return errors.New("no member answered")
	}
	first, same := hashes[0], true
	var all []string
	for _, h := range hashes {
		if h.Revision != first.Revision || h.CompactRevision != first.CompactRevision {
			return fmt.Errorf("%w: %s and %s", ErrIncomparable, first, h)
		}
		same = same && h.Hash == first.Hash
		all = append(all, h.String())
	}
	if !same {
		return fmt.Errorf("members hold different data: %s", strings.Join(all, "; "))
	}
	return nil
}

// String tells the answer for people.
func (h Hash) String() string {
	return fmt.Sprintf("%s: %08x at revision %d, compacted at %d", h.Member, h.Hash, h.Revision, h.CompactRevision)
}

// hashAll asks all targets for their hash at the newest revision.
func hashAll(ctx context.Context, targets []Target) ([]Hash, error) {
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if len(targets) == 0 {
		return nil, errors.New("no members to compare")
	}
	newest, err := targets[0].Client.Get(ctx, "clustertest") // linearizable
	if err != nil {
		return nil, fmt.Errorf("newest revision: %w", err)
	}
	revision := newest.Header.Revision
	var hashes []Hash
	for _, t := range targets {
		answer, err := t.Client.HashKV(ctx, t.Client.Endpoints()[0], revision)
		if err != nil {
			return nil, fmt.Errorf("hash of %s at revision %d: %w", t.Name, revision, err)
		}
		hashes = append(hashes, Hash{t.Name, revision, answer.CompactRevision, answer.Hash})
	}
	return hashes, nil
}
