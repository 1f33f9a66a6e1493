package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// publishedSchema compiles docs/health.schema.json.
func publishedSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("../docs/health.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("health.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("health.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// TestPublishedSchema holds what is written against the published schema, down to the emptiest documents: a list that is
// nil would be null. It wants wrong documents refused, too.
func TestPublishedSchema(t *testing.T) {
	t.Parallel()
	s := publishedSchema(t)
	report := health.Evaluate(sampleFacts("m1"), health.Policy{})
	facts := sampleFacts("m1")
	facts.Schema = health.FactsSchema
	later := facts
	later.Earlier = facts.AsEarlier(time.Second)
	later.Local = []health.LocalMember{{Source: "here", ClientURLs: []string{}, Disks: []health.Disk{{Path: "/"}}}}
	later.Backup = &health.BackupState{Repository: "r"}
	empty := health.Evaluate(health.Facts{}, health.Policy{})
	for name, v := range map[string]any{
		"report": report, "of nothing": empty, "facts": facts, "facts with all": later,
		"fast": health.Evaluate(facts, health.Policy{Only: []string{"quorum"}}),
		"list": healthListJSON{Schema: "etcdops.health_list/v1", Clusters: []healthClusterJSON{{Context: "a", Report: &report}, {Context: "b", Error: "x"}}},
	} {
		var out bytes.Buffer
		if err := ui.JSON(&out, v); err != nil {
			t.Fatal(err)
		}
		if err := validate(t, s, out.String()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"another schema":    func(m map[string]any) { m["schema"] = "another" },
		"a missing field":   func(m map[string]any) { delete(m, "members") },
		"an unknown level":  func(m map[string]any) { m["severity"] = "fine" },
		"null for a list":   func(m map[string]any) { m["findings"] = nil },
		"text for a number": func(m map[string]any) { m["took_ms"] = "1" },
	} {
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		change(doc)
		if text, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
		if validate(t, s, string(text)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
