package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etcdops/etcdops/internal/clustertest/ledger"
)

// TestLoad writes a ledger by many goroutines and reads it back.
func TestLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ledger")
	l, err := ledger.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		running.Go(func() {
			for _, e := range []ledger.Entry{
				{Key: name + "1", Value: "1", Outcome: ledger.Acknowledged, Revision: 7, Member: "m1"},
				{Key: name + "2", Value: "2", Outcome: ledger.Unknown, Member: "m2", Error: "timed out"},
				{Key: name + "3", Value: "3", Outcome: ledger.Failed, Error: "refused"},
			} {
				if err := l.Intend(e.Key, e.Value); err != nil {
					t.Error(err)
				}
				if err := l.Conclude(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if err := l.Intend("e", "5"); err != nil { // its writer dies here
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := ledger.Load(file)
	if err != nil || len(entries) != 13 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		want := map[string]ledger.Entry{
			"1": {Key: e.Key, Value: "1", Outcome: ledger.Acknowledged, Revision: 7, Member: "m1"},
			"2": {Key: e.Key, Value: "2", Outcome: ledger.Unknown, Member: "m2", Error: "timed out"},
			"3": {Key: e.Key, Value: "3", Outcome: ledger.Failed, Error: "refused"},
			"5": {Key: "e", Value: "5", Outcome: ledger.Unknown},
		}[e.Value]
		if diff := cmp.Diff(want, e); diff != "" {
			t.Error(diff)
		}
	}
}

// TestLoadDamaged reads files that a dying writer, or something worse, left.
func TestLoadDamaged(t *testing.T) {
	t.Parallel()
	const intent = `{"key":"a","value":"1"}` + "\n"
	for name, tt := range map[string]struct {
		text    string
		entries int
		ok      bool
	}{
		"empty":             {"", 0, true},
		"torn tail":         {intent + `{"key":"a","outc`, 1, true},
		"damaged line":      {intent + "}{\n" + intent, 0, false},
		"second intent":     {intent + intent, 0, false},
		"outcome of nobody": {`{"key":"b","outcome":"failed"}` + "\n", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ledger")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			entries, err := ledger.Load(file)
			if (err == nil) != tt.ok || len(entries) != tt.entries {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
		})
	}
}

// TestJudge feeds every kind of loss to the judge, and what is none.
func TestJudge(t *testing.T) {
	t.Parallel()
	acked := ledger.Entry{Key: "a", Value: "1", Outcome: ledger.Acknowledged, Revision: 5, Member: "m1"}
	unknown := ledger.Entry{Key: "b", Value: "2", Outcome: ledger.Unknown}
	failed := ledger.Entry{Key: "c", Value: "3", Outcome: ledger.Failed, Error: "refused"}
	a := ledger.Found{Key: "a", Value: "1", ModRevision: 5, Version: 1}
	for name, tt := range map[string]struct {
		entries []ledger.Entry
		found   []ledger.Found
		want    string // part of the error; empty: none
	}{
		"all well":           {[]ledger.Entry{acked, unknown, failed}, []ledger.Found{a}, ""},
		"unknown happened":   {[]ledger.Entry{acked, unknown}, []ledger.Found{a, {"b", "2", 6, 1}}, ""},
		"lost":               {[]ledger.Entry{acked, unknown}, nil, "lost: a=1, acknowledged by m1 at revision 5"},
		"other value":        {[]ledger.Entry{acked}, []ledger.Found{{"a", "9", 5, 1}}, "lost: a=1"},
		"other revision":     {[]ledger.Entry{acked}, []ledger.Found{{"a", "1", 6, 1}}, "lost: a=1"},
		"written twice":      {[]ledger.Entry{acked, unknown}, []ledger.Found{a, {"b", "2", 7, 2}}, "phantom: b=2"},
		"phantom":            {[]ledger.Entry{acked}, []ledger.Found{a, {"z", "1", 6, 1}}, "phantom: z=1 at revision 6"},
		"phantom value":      {[]ledger.Entry{acked, unknown}, []ledger.Found{a, {"b", "9", 6, 1}}, "phantom: b=9"},
		"undead":             {[]ledger.Entry{acked, failed}, []ledger.Found{a, {"c", "3", 6, 1}}, "undead: c=3, failed with refused"},
		"nothing to be lost": {[]ledger.Entry{unknown, failed}, nil, "nothing is proven"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := ledger.Judge(tt.entries, tt.found).Err()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("judged %v, wanted %q", err, tt.want)
			}
		})
	}
}

// TestCompareHashes feeds equal, different and incomparable answers.
func TestCompareHashes(t *testing.T) {
	t.Parallel()
	m1 := ledger.Hash{Member: "m1", Revision: 9, CompactRevision: 3, Hash: 7}
	for name, tt := range map[string]struct {
		other        ledger.Hash
		ok, judgable bool
	}{
		"equal":            {ledger.Hash{Member: "m2", Revision: 9, CompactRevision: 3, Hash: 7}, true, true},
		"different":        {ledger.Hash{Member: "m2", Revision: 9, CompactRevision: 3, Hash: 8}, false, true},
		"compaction apart": {ledger.Hash{Member: "m2", Revision: 9, CompactRevision: 4, Hash: 7}, false, false},
		"revisions apart":  {ledger.Hash{Member: "m2", Revision: 8, CompactRevision: 3, Hash: 7}, false, false},
	} {
		err := ledger.CompareHashes([]ledger.Hash{m1, tt.other})
		if (err == nil) != tt.ok || errors.Is(err, ledger.ErrIncomparable) == tt.judgable {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ledger.CompareHashes(nil); err == nil {
		t.Error("no answers were found equal")
	}
}

// TestLinearizable feeds histories of one register to the judge.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	op := func(kind ledger.Kind, call, ret int64, old, value, found string, swapped bool) ledger.Operation {
		return ledger.Operation{Kind: kind, Key: "k", Call: call, Return: ret, Old: old, Value: value, Found: found, Swapped: swapped}
	}
	store := func(call, ret int64, value string) ledger.Operation {
		return op(ledger.Store, call, ret, "", value, "", false)
	}
	read := func(call, ret int64, found string) ledger.Operation {
		return op(ledger.Read, call, ret, "", "", found, false)
	}
	swap := func(call, ret int64, old, value string, swapped bool) ledger.Operation {
		return op(ledger.Swap, call, ret, old, value, "", swapped)
	}
	const never = ledger.Pending
	for name, tt := range map[string]struct {
		history []ledger.Operation
		ok      bool
	}{
		"in order":                    {[]ledger.Operation{read(0, 1, ""), store(2, 3, "1"), read(4, 5, "1"), swap(6, 7, "1", "2", true), read(8, 9, "2")}, true},
		"at once":                     {[]ledger.Operation{store(0, 9, "1"), read(1, 2, ""), read(3, 4, "1")}, true},
		"unknown happened":            {[]ledger.Operation{store(0, never, "1"), read(1, 2, ""), read(3, 4, "1")}, true},
		"unknown did not happen":      {[]ledger.Operation{store(0, never, "1"), read(1, 2, ""), read(3, 4, "")}, true},
		"unknown swap happened":       {[]ledger.Operation{swap(0, never, "", "1", false), read(1, 2, ""), read(3, 4, "1")}, true},
		"unknown swap did not happen": {[]ledger.Operation{swap(0, never, "x", "1", false), read(1, 2, ""), store(3, 4, "2"), read(5, 6, "2")}, true},
		"swap refused":                {[]ledger.Operation{store(0, 1, "1"), swap(2, 3, "0", "2", false), read(4, 5, "1")}, true},
		"stale read":                  {[]ledger.Operation{store(0, 1, "1"), store(2, 3, "2"), read(4, 5, "1")}, false},
		"lost write":                  {[]ledger.Operation{store(0, 1, "1"), read(2, 3, "")}, false},
		"phantom":                     {[]ledger.Operation{store(0, 1, "1"), read(2, 3, "7")}, false},
		"time runs backwards":         {[]ledger.Operation{store(0, 9, "1"), read(1, 2, "1"), read(3, 4, "")}, false},
		"unknown is taken back":       {[]ledger.Operation{store(0, never, "1"), read(1, 2, "1"), read(3, 4, "")}, false},
		"swap that cannot be":         {[]ledger.Operation{store(0, 1, "1"), swap(2, 3, "0", "2", true)}, false},
		"swap refused without reason": {[]ledger.Operation{store(0, 1, "1"), swap(2, 3, "1", "2", false)}, false},
		"two swaps of the same value": {[]ledger.Operation{swap(0, 1, "", "1", true), swap(2, 3, "", "2", true)}, false},
		"unknown kind":                {[]ledger.Operation{op("drop", 0, 1, "", "", "", false)}, false},
		"no operation has an answer":  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := ledger.Linearizable(tt.history); (err == nil) != tt.ok {
				t.Fatalf("judged %v, wanted ok: %v", err, tt.ok)
			}
		})
	}
}

// TestOneBadRegisterAmongMany finds the fault in a long history, and names its register.
func TestOneBadRegisterAmongMany(t *testing.T) {
	t.Parallel()
	var history []ledger.Operation
	for i := range 50_000 {
		n := int64(i)
		history = append(history, ledger.Operation{Kind: ledger.Store, Key: "k" + string(rune('A'+i%50)), Value: "1", Call: n, Return: n + 1})
	}
	if err := ledger.Linearizable(history); err != nil {
		t.Fatal(err)
	}
	history = append(history, ledger.Operation{Kind: ledger.Read, Key: "kZ", Found: "2", Call: 60_000, Return: 60_001})
	if err := ledger.Linearizable(history); err == nil || !strings.Contains(err.Error(), `"kZ"`) {
		t.Fatalf("judged %v", err)
	}
}
