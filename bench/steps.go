package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// longStep is what a step, or what is looked at before it, must take to be told.
const longStep = 50 * time.Millisecond

// tellSteps writes how long each step of the newest operation took, as its journal has it: the time before its intent (the
// look whether it is done, and the proofs) and the time from there to its effect.
func tellSteps(w io.Writer, state string) error {
	journals, err := filepath.Glob(filepath.Join(state, "*.jsonl"))
	if err != nil || len(journals) == 0 {
		return err
	}
	f, err := os.Open(slices.Max(journals)) // their names begin with the time
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	var parts []string
	var last time.Time
	var before time.Duration
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var r struct {
			Time       time.Time
			Type, Step string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		switch r.Type {
		case "data":
			continue
		case "intent":
			before = r.Time.Sub(last)
		case "done":
			if took := r.Time.Sub(last); took+before > longStep {
				parts = append(parts, fmt.Sprintf("%s %.2f+%.2f", r.Step, before.Seconds(), took.Seconds()))
			}
			before = 0
		}
		last = r.Time
	}
	fmt.Fprintln(w, "  seconds before and in each step:", strings.Join(parts, ", "))
	return nil
}
