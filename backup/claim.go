package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Schemas of what keeps two schedulers from committing one slot.
const (
	schemaClaim = "etcdops-repository-claim/1"
	schemaVoid  = "etcdops-repository-void/1"
)

const (
	claimDir = "claim/"
	// claimPatience is how long a claim without a manifest is left alone: its maker has everything uploaded and has only the
	// manifest to write. Safety does not depend on it.
	claimPatience = 2 * time.Minute
	// claimAge is how old a claim is when it is swept, and how old the void that ended one.
	claimAge = 30 * 24 * time.Hour
	// maxVoid is the size of the largest void in bytes; every manifest is larger.
	maxVoid = 512
	// maxAttempts bounds how many runs may have died in the moment before a slot's manifest.
	maxAttempts = 1000
)

// claim says which backup a slot of a schedule is to have. It is put once everything but the manifest is there.
type claim struct {
	At       time.Time `json:"at"`
	Fence    int64     `json:"fence"`    // token of the scheduler that took it
	Manifest string    `json:"manifest"` // object that makes the backup one
}

// void lies where a manifest was to be written, so that it never can be: a scheduler that was stopped for whatever time and
// goes on finds its place taken.
type void struct {
	At time.Time `json:"at"`
}

// slotPrefix is where the claims to a slot lie.
func slotPrefix(cluster ops.ClusterID, slot time.Time) string {
	return fmt.Sprintf("%s%016x/%s/", claimDir, uint64(cluster), slot.UTC().Format(timeInName))
}

// claimSlot makes m the one backup of a slot, or says that there is another. Whoever puts the first object of an attempt has it.
// When its backup never came, the next attempt first makes sure that it never will.
func (r *Repository) claimSlot(ctx context.Context, m *Manifest, slot, now time.Time) error {
	own := m.Dir() + manifestName
	prefix := slotPrefix(m.ClusterID, slot)
	for attempt := range maxAttempts {
		name := fmt.Sprintf("%s%04d", prefix, attempt)
		err := putDocument(ctx, r.store, name, schemaClaim, claim{At: now.UTC(), Fence: m.Fence, Manifest: own})
		if !errors.Is(err, ErrExist) {
			return err
		}
		var other claim
		switch err := readDocument(ctx, r.store, name, schemaClaim, &other); {
		case documentError(err):
			continue // nobody can say whose it is: rather two backups of a slot than none
		case err != nil:
			return err
		case other.Manifest == own:
			return nil // our own request, repeated
		}
		if err := r.endClaim(ctx, other, slot, now); err != nil {
			return err
		}
	}
	return errors.New("too many claims to one slot")
}

// endClaim makes sure that a claim will never have its backup; the error is CodeSlotTaken when it has, or still may.
func (r *Repository) endClaim(ctx context.Context, c claim, slot, now time.Time) error {
	if dir, _, ok := parseBaseDir(c.Manifest); !ok || dir+manifestName != c.Manifest {
		return fmt.Errorf("%w: the claim names %q", errDamaged, c.Manifest)
	}
	switch known, err := r.isVoid(ctx, c.Manifest); {
	case err == nil && known:
		return nil
	case err == nil:
		return r.takenBy(ctx, c, slot, now)
	case !errors.Is(err, ErrNotExist):
		return err
	}
	if age := now.Sub(c.At); age >= 0 && age < claimPatience {
		return r.slotTaken(slot, "another scheduler is about to write its backup")
	}
	err := putDocument(ctx, r.store, c.Manifest, schemaVoid, void{At: now.UTC()})
	if errors.Is(err, ErrExist) { // written this moment: by its maker, or void by somebody else
		if known, err := r.isVoid(ctx, c.Manifest); err != nil || known {
			return err
		}
		return r.takenBy(ctx, c, slot, now)
	}
	return err
}

// takenBy says that a slot is taken by the backup that its claim names, unless that is damaged or of the future: it serves the slot no
// more, and another one may.
func (r *Repository) takenBy(ctx context.Context, c claim, slot, now time.Time) error {
	dir, id, _ := parseBaseDir(c.Manifest)
	e := Entry{ID: id, Dir: dir}
	sizes := map[string]int64{}
	var objects []Object
	for _, prefix := range []string{dir, recordDir + string(id) + "/"} {
		found, err := r.store.List(ctx, prefix)
		if err != nil {
			return err
		}
		objects = append(objects, found...)
	}
	for _, o := range objects {
		sizes[o.Name] = o.Size
	}
	if err := r.readEntry(ctx, &e, sizes); err != nil {
		return err
	}
	marked := []Entry{e}
	if err := r.readMarks(ctx, objects, marked); err != nil {
		return err
	}
	if e = marked[0]; e.Level() < LevelData || e.Future(now) {
		return nil
	}
	return r.slotTaken(slot, "another scheduler has taken its backup")
}

// isVoid says whether what lies at the place of a manifest is a void.
func (r *Repository) isVoid(ctx context.Context, name string) (bool, error) {
	var v void
	err := readDocument(ctx, r.store, name, schemaVoid, &v)
	if errors.Is(err, errNewer) || errors.Is(err, errDamaged) {
		return false, nil
	}
	return err == nil, err
}

// slotTaken is no failure of anybody's: the slot has its backup.
func (r *Repository) slotTaken(slot time.Time, why string) error {
	return &ops.HintError{
		Code: CodeSlotTaken, Class: ops.ClassRefused, Op: "commit the backup of " + SlotText(slot) + " to", Member: r.store.String(),
		Err: errors.New(why), Hint: "etcdops backup list shows it",
	}
}

// SlotText names a slot for people. That of a cluster's first backup, for which every scheduler must have one name whenever it begins,
// is the beginning of time.
func SlotText(slot time.Time) string {
	if slot.Unix() == 0 {
		return "the first slot"
	}
	return slot.UTC().Format(time.RFC3339)
}

// sweepClaims removes claims that nobody can be waiting for any more.
func (r *Repository) sweepClaims(ctx context.Context, now time.Time) error {
	objects, err := r.store.List(ctx, claimDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range objects {
		if now.Sub(o.Modified) > claimAge {
			errs = append(errs, r.store.Delete(ctx, o.Name))
		}
	}
	return errors.Join(errs...)
}

// sweepVoid removes the data of a backup that was made void; the void itself stays as long as claims do.
func (r *Repository) sweepVoid(ctx context.Context, manifest Object, names []string) error {
	if manifest.Size > maxVoid {
		return nil
	}
	if known, err := r.isVoid(ctx, manifest.Name); err != nil || !known {
		return err
	}
	var errs []error
	for _, name := range names {
		if !strings.HasSuffix(name, "/"+manifestName) || time.Since(manifest.Modified) > claimAge {
			errs = append(errs, r.store.Delete(ctx, name))
		}
	}
	return errors.Join(errs...)
}
