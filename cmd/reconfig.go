package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/suggest"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// changeOptions are the settings of every command that changes the membership.
type changeOptions struct {
	accept      []string
	yes, dryRun bool
}

func (o *changeOptions) addFlags(cmd *cobra.Command) {
	addAcceptFlag(cmd, &o.accept)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the proof and the plan, and change nothing")
}

func addAcceptFlag(cmd *cobra.Command, accept *[]string) {
	cmd.Flags().StringSliceVar(accept, "accept-risk", nil, "accept a risk by its name, which a refusal tells; one name a flag: "+strings.Join(ops.RiskNames(), ", "))
}

// checkRisks refuses names of risks that do not exist.
func checkRisks(cmd *cobra.Command, accept []string) error {
	for _, name := range accept {
		if !slices.Contains(ops.RiskNames(), name) {
			err := fmt.Errorf("there is no risk %q; there are %s", name, strings.Join(ops.RiskNames(), ", "))
			if near := suggest.Nearest(name, ops.RiskNames()); near != "" {
				err = fmt.Errorf("there is no risk %q: did you mean %s?", name, near)
			}
			return usageError(cmd, err)
		}
	}
	return nil
}

// openCluster prepares a connection without asking anybody: members that do not answer are what is looked for.
func (a *app) openCluster(cmd *cobra.Command) (*ops.Cluster, error) {
	r, err := a.resolve(cmd)
	if err != nil {
		return nil, err
	}
	return ops.Open(r.Config)
}

// planned is what a command wants: changes one after the other, and how the question about them is put.
type planned struct {
	changes []ops.Change
	preview []ops.Change // what the proof shows, where that is more than the changes: a start in between
	word    string       // to type
	to      string       // what typing it does

	list ops.Membership // for which the plan was made
}

// changePlan makes a plan for the cluster as it is seen.
type changePlan func(o ops.Observation) (planned, error)

// changeJSON is schema etcdops.change/v1: what a change of the membership came to.
type changeJSON struct {
	Schema  string             `json:"schema"`
	Proof   ops.Proof          `json:"proof"` // of the whole plan
	Done    bool               `json:"done"`  // false: a dry run, or stopped half-way
	Results []changeResultJSON `json:"results"`
	Start   *startJSON         `json:"start,omitempty"` // of a member that was added
}

// changeResultJSON is one change that was made.
type changeResultJSON struct {
	Change     ops.Change     `json:"change"`
	WaitedMS   int64          `json:"waited_ms"`
	VerifiedOn []string       `json:"verified_on"`
	Missing    []string       `json:"missing"` // members that could not be asked
	Membership ops.Membership `json:"membership"`
}

// change is every command that changes the membership: look, prove, show, ask, make, verify. after runs when all changes
// are made, before the report is written.
func (a *app) change(cmd *cobra.Command, opts changeOptions, plan changePlan, after func(*ops.Cluster, *changeJSON) error) error {
	if err := checkRisks(cmd, opts.accept); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "table", "simple", "json", "yaml"}, a.out) {
		return badFormat(cmd, a.out, "table", "json", "yaml")
	}
	cluster, err := a.openCluster(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // what was changed has been verified
	want, proof, err := a.prove(cmd, cluster, opts, plan)
	if err != nil {
		return err
	}
	doc := changeJSON{Schema: "etcdops.change/v1", Proof: proof, Results: []changeResultJSON{}}
	if opts.dryRun {
		if a.structured() {
			return a.print(cmd, doc, nil)
		}
		return a.say("dry run: nothing was changed")
	}
	if !opts.yes {
		if err := ui.Confirm(cmd.Context(), a.io, ui.Confirmation{Op: cmd.CommandPath(), Word: want.word, To: want.to}); err != nil {
			return err
		}
	}
	err = a.makeChanges(cmd, cluster, opts, want, &doc)
	if err == nil && after != nil {
		err = after(cluster, &doc)
	}
	doc.Done = err == nil
	if a.structured() && len(doc.Results) > 0 { // also where it was stopped half-way: what was made is made
		err = errors.Join(err, a.print(cmd, doc, nil))
	}
	return err
}

// prove looks at the cluster and shows what the plan does to it.
func (a *app) prove(cmd *cobra.Command, cluster *ops.Cluster, opts changeOptions, plan changePlan) (planned, ops.Proof, error) {
	var none ops.Proof
	o, err := cluster.Observe(cmd.Context())
	if err != nil {
		return planned{}, none, err
	}
	want, err := plan(o)
	if err != nil {
		return want, none, err
	}
	if o, err = addresses(cmd.Context(), cluster, o, want.changes); err != nil {
		return want, none, err
	}
	lookStrict(&o)
	shown := want.preview
	if shown == nil {
		shown = want.changes
	}
	want.list = o.Membership()
	proof, refused := ops.CheckChange(o, time.Now(), ops.CheckOptions{Accept: opts.accept}, shown...)
	if waits(want, refused) {
		refused = nil // its turn comes when it has caught up
	}
	if !a.structured() {
		err = printProof(a.io, proof, false)
	} else if refused != nil {
		err = a.print(cmd, changeJSON{Schema: "etcdops.change/v1", Proof: proof, Results: []changeResultJSON{}}, nil)
	}
	if err = errors.Join(refused, err); err != nil {
		return want, proof, err
	}
	if leader, ok := o.ByID(o.Leader); ok && leader.URL != "" {
		err = cluster.MayReconfigure(cmd.Context(), leader.URL)
	}
	return want, proof, err
}

// waits reports whether the refusal is only that a learner is on its way, which the change itself waits for.
func waits(want planned, refused error) bool {
	risks := ops.RisksOf(refused)
	return len(want.changes) == 1 && want.changes[0].Kind == ops.ChangePromote && len(risks) == 1 && risks[0].Name == ops.RiskLaggingLearner
}

// structured reports whether the result goes to a program.
func (a *app) structured() bool { return a.out == "json" || a.out == "yaml" }

// say writes a line of the report.
func (a *app) say(text string) error {
	_, err := fmt.Fprintln(a.io.Out, text)
	return err
}

// makeChanges makes the changes one after the other; each looks again and proves itself before it is sent.
func (a *app) makeChanges(cmd *cobra.Command, cluster *ops.Cluster, opts changeOptions, want planned, doc *changeJSON) error {
	list := want.list
	for i, c := range want.changes {
		progress := newChangeProgress(a)
		result, err := cluster.Change(cmd.Context(), c, ops.ChangeOptions{Accept: opts.accept, Strict: doc.Proof.Strict, Tell: progress.tell, Expect: &list})
		if err != nil {
			return interruptedChange(cmd, err, want.changes[:i], want.changes[i:])
		}
		list = result.Membership
		doc.Results = append(doc.Results, changeResultJSON{
			Change: result.Change, WaitedMS: result.Waited.Milliseconds(), VerifiedOn: result.VerifiedOn, Missing: result.Missing,
			Membership: result.Membership,
		})
		if a.structured() {
			continue
		}
		line := fmt.Sprintf("done: %s, verified on %s", oneLine(doneText(result)), joinLabels(result.VerifiedOn))
		if len(result.Missing) > 0 {
			line += "; no answer from " + joinLabels(result.Missing)
		}
		if err := a.say(ui.Wrap(line, 0, ui.MaxColumns, indent)); err != nil {
			return err
		}
	}
	return nil
}

// doneText tells a change that was made, with the ID of a member that was added.
func doneText(r ops.ChangeResult) string {
	text := r.Change.String()
	if len(r.Proof.Steps) > 0 {
		text = r.Proof.Steps[0].Text
	}
	if r.Change.Kind == ops.ChangeAddLearner || r.Change.Kind == ops.ChangeAddVoter {
		text += " (" + r.Change.Member.String() + ")"
	}
	return text
}

// interruptedChange tells what of a plan was done when a later step failed.
func interruptedChange(cmd *cobra.Command, err error, done, left []ops.Change) error {
	if len(done) == 0 {
		return err
	}
	var made []string
	for _, c := range done {
		made = append(made, c.String())
	}
	return &ops.HintError{
		Class: ops.ClassResumable, Op: cmd.CommandPath(),
		Err:  fmt.Errorf("stopped half-way; done: %s; not done: %w", strings.Join(made, ", "), err),
		Hint: goOn(cmd, left),
	}
}

// goOn is the command that does the rest: of members to be removed those that are still there, else the same again.
func goOn(cmd *cobra.Command, left []ops.Change) string {
	var ids []string
	for _, c := range left {
		if c.Kind == ops.ChangeRemove {
			ids = append(ids, c.Member.String())
		}
	}
	if len(ids) == 0 {
		return "the same command again goes on from here"
	}
	return cmd.CommandPath() + " " + strings.Join(ids, " ") + " goes on from here"
}

// changeEventJSON is schema etcdops.change_event/v1: what happens meanwhile, one a line on standard error with -w json.
type changeEventJSON struct {
	Schema string     `json:"schema"`
	Time   time.Time  `json:"time"`
	Kind   string     `json:"kind"` // sent, waiting, done, verified; start: how a new member must be started now
	Text   string     `json:"text"`
	BeenMS int64      `json:"been_ms"`         // for how long it has been waited for
	Have   uint64     `json:"have"`            // of a learner that catches up: log indexes
	Want   uint64     `json:"want"`            // likewise
	Start  *startJSON `json:"start,omitempty"` // of kind start
}

// changeProgress tells what is waited for, a line now and then; everything that happens as JSON lines with -w json.
type changeProgress struct {
	a    *app
	last string
	at   time.Time
}

func newChangeProgress(a *app) *changeProgress { return &changeProgress{a: a} }

// progressPause is the time between two lines about the same thing.
const progressPause = 5 * time.Second

func (p *changeProgress) tell(e ops.ChangeEvent) {
	lines := p.a.out == "json"
	if e.Kind != "waiting" && !lines {
		return
	}
	if e.Kind == "waiting" && e.Text == p.last && e.At.Sub(p.at) < progressPause {
		return
	}
	p.last, p.at = e.Text, e.At
	if lines {
		p.event(changeEventJSON{Time: e.At.UTC(), Kind: e.Kind, Text: e.Text, BeenMS: e.Been.Milliseconds(), Have: e.Have, Want: e.Want})
		return
	}
	text := e.Text
	if e.Want > 0 {
		text += fmt.Sprintf(": it has applied %d of %d", e.Have, e.Want)
	}
	if e.Been >= time.Second {
		text += fmt.Sprintf(" (%.0f s)", e.Been.Seconds())
	}
	fmt.Fprintln(p.a.io.Err, ui.Wrap("waiting: "+oneLine(text), 0, ui.MaxColumns, indent))
}

// event writes one line.
func (p *changeProgress) event(e changeEventJSON) {
	e.Schema = "etcdops.change_event/v1"
	enc := json.NewEncoder(p.a.io.Err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(e) // the streams keep the error
}
