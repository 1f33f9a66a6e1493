package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Format is the version of the repository's layout that this program writes and understands.
const Format = 1

const schemaRepository = "etcdops-repository/1"

// Repository is a store that holds backups.
type Repository struct {
	store Store
	info  Info
}

// Info is the repository's own document.
type Info struct {
	ID        ID        `json:"id"`
	Format    int       `json:"format"`
	CreatedAt time.Time `json:"created_at"`
}

// OpenRepository opens the repository in a store. The error is CodeNoRepository where there is none, CodeNewerFormat
// where it is of a later version; nothing is written.
func OpenRepository(ctx context.Context, s Store) (*Repository, error) {
	var info Info
	err := readDocument(ctx, s, repoName, schemaRepository, &info)
	switch {
	case errors.Is(err, ErrNotExist):
		return nil, &ops.HintError{
			Code: CodeNoRepository, Op: "open backup repository", Member: s.String(), Err: errors.New("there is no repository here"),
			Hint: "etcdops backup create makes one with the first backup; check --repo",
		}
	case errors.Is(err, errNewer), err == nil && info.Format > Format:
		if err == nil {
			err = fmt.Errorf("its format is %d, known is %d", info.Format, Format)
		}
		return nil, &ops.HintError{
			Code: CodeNewerFormat, Class: ops.ClassRefused, Op: "open backup repository", Member: s.String(), Err: err,
			Hint: "use the version of etcdops that writes to it, or a later one",
		}
	case errors.Is(err, errDamaged):
		return nil, &ops.HintError{
			Code: CodeDamaged, Op: "open backup repository", Member: s.String() + "/" + repoName, Err: err,
			Hint: "the backups may be whole: docs/repository-format.md says how to write " + repoName + " again",
		}
	case err != nil:
		return nil, storeError("open backup repository", s, err)
	}
	return &Repository{store: s, info: info}, nil
}

// EnsureRepository opens the repository in a store and makes one where there is none. A place that holds other things is
// refused.
func EnsureRepository(ctx context.Context, s Store, now time.Time) (*Repository, error) {
	r, err := OpenRepository(ctx, s)
	if ops.CodeOf(err) != CodeNoRepository {
		return r, err
	}
	objects, err := s.List(ctx, "")
	if err != nil {
		return nil, storeError("list", s, err)
	}
	if len(objects) > 0 {
		return nil, &ops.HintError{
			Code: CodeForeignPlace, Class: ops.ClassRefused, Op: "make backup repository", Member: s.String(),
			Err:  fmt.Errorf("the place is not empty (%s) and has no %s", objects[0].Name, repoName),
			Hint: "name an empty place, or the repository itself",
		}
	}
	info := Info{ID: NewID(), Format: Format, CreatedAt: now.UTC()}
	if err := putDocument(ctx, s, repoName, schemaRepository, info); err != nil && !errors.Is(err, ErrExist) {
		return nil, storeError("make backup repository", s, err)
	}
	return OpenRepository(ctx, s) // somebody else may have been first
}

// Store is where the repository lies.
func (r *Repository) Store() Store { return r.store }

// Info returns the repository's own document.
func (r *Repository) Info() Info { return r.info }

// storeError explains what a store said.
func storeError(op string, s Store, err error) error {
	if ops.CodeOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return &ops.HintError{
		Code: CodeStore, Op: op, Member: s.String(), Err: err,
		Hint: "check that the place is there, has space, and lets this user in; nothing that was there before was changed",
	}
}
