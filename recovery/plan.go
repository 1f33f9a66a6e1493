package recovery

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// PlanSchema names the JSON form of Plan.
const PlanSchema = "etcdops.plan/v1"

// The kinds of plans.
const (
	KindMember  = "recover-member"
	KindRebuild = "rebuild-cluster"
)

// Plan is what will be done, in which order, and what it was concluded from. It is plain data: it prints, it is stored in
// the journal, and its hash is what a person confirmed.
type Plan struct {
	Schema    string        `json:"schema"`
	Kind      string        `json:"kind"`
	Operation string        `json:"operation"` // names the journal, the lock's holder and what is set aside
	MadeAt    time.Time     `json:"made_at"`
	ClusterID ops.ClusterID `json:"cluster_id"`
	Basis     string        `json:"basis"` // digest of the facts that the plan stands on: with others it is stale
	Quorum    Course        `json:"quorum"`
	Notes     []string      `json:"notes"` // what a person should know before confirming, one sentence each
	Steps     []Step        `json:"steps"`
	Rebuild   *RebuildPlan  `json:"rebuild,omitempty"` // of a rebuild
	Member    *MemberPlan   `json:"member,omitempty"`  // of KindMember

	Hash string `json:"hash"` // of everything above
}

// Step is one step of a plan: what to do is found by Kind, and Member.
type Step struct {
	ID      string    `json:"id"` // unique in the plan, and the same in every plan for the same targets
	Kind    string    `json:"kind"`
	Member  string    `json:"member"`  // that it is about; empty for the whole cluster
	Text    string    `json:"text"`    // for people: "remove m3 (8211f1d0f64f3269)"
	Changes bool      `json:"changes"` // it changes the cluster or a disk
	After   ops.Tally `json:"after"`   // voters once it is done
}

// Course is how the majority fares: now, at the worst moment on the way, and at the end.
type Course struct {
	Now   ops.Tally `json:"now"`
	Worst ops.Tally `json:"worst"`
	After ops.Tally `json:"after"`
}

// has tells whether a step of a kind is in the plan.
func (p *Plan) has(kind string) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == kind })
}

// NewOperation names an operation: the time, so that names sort, and a random part.
func NewOperation(now time.Time) string {
	return now.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:6])
}

// Seal fills in the hash. A sealed plan is not changed any more.
func (p *Plan) Seal() error {
	hash, err := p.digest()
	p.Hash = hash
	return err
}

// Verify reports a plan that was changed after it was sealed, or that this program does not know.
func (p *Plan) Verify() error {
	if p.Schema != PlanSchema {
		return fmt.Errorf("it is no plan of this version: schema %q, not %q", p.Schema, PlanSchema)
	}
	hash, err := p.digest()
	if err != nil {
		return err
	}
	if hash != p.Hash {
		return errors.New("the plan was changed after it was made: its hash does not fit")
	}
	return nil
}

// digest hashes everything but the hash.
func (p *Plan) digest() (string, error) {
	bare := *p
	bare.Hash = ""
	return Digest(bare)
}

// Digest is the SHA-256 of a value's JSON form, in hexadecimal.
func Digest(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode for a digest: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
