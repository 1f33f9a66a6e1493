package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadme types what the README's transcripts say, in their order, into one shell with a network of its own (the
// default ports are free there), and compares what it sees. A transcript is a code block behind a comment
// <!-- transcript -->; `...` stands for any lines. Every block with a prompt has that comment, but for those of makefiles.
func TestReadme(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace of its own needs root: the README's commands use the default ports")
	}
	steps := transcripts(t, filepath.Join("..", "README.md"))
	if len(steps) < 12 {
		t.Fatalf("the README has %d marked commands: were the markers changed?", len(steps))
	}
	whole := transcripts(t, filepath.Join("..", "docs", "runbooks", "member-down.md"))
	dir := t.TempDir()
	linkBinary(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sh := startShell(ctx, t, dir)
	for _, step := range steps {
		if strings.HasPrefix(step.command, "bin/etcdops serve") {
			sh.run(ctx, t, step.command+" >serve.log 2>&1 & until curl -fs http://127.0.0.1:2379/readyz >/dev/null; do :; done")
			continue
		}
		want := strings.Join(step.output, "\n")
		got := sh.run(ctx, t, asOnTerminal(step.command))
		for !transcriptMatches(want, got) && onlyLooks(step.command) && ctx.Err() == nil {
			got = sh.run(ctx, t, asOnTerminal(step.command))
		}
		if !transcriptMatches(want, got) {
			t.Fatalf("%s\nthe README shows:\n%s\nbut it prints:\n%s", step.command, want, got)
		}
		if len(whole) == 1 && step.command == "bin/"+whole[0].command { // the runbook shows all of what the README shortens
			if want := strings.Join(whole[0].output, "\n"); !transcriptMatches(want, got) {
				t.Errorf("%s\nthe runbook shows:\n%s\nbut it prints:\n%s", step.command, want, got)
			}
			whole = nil
		}
	}
	if len(whole) != 0 {
		t.Errorf("the runbook's transcript is none of the README's commands: %q", whole[0].command)
	}
}

// asOnTerminal asks for what a terminal would be shown: both streams, and the table that is made for people.
func asOnTerminal(command string) string {
	if command == "bin/etcdops health" {
		command += " -w table"
	}
	if strings.HasPrefix(command, "bin/etcdops ") {
		command += " 2>&1"
	}
	return command
}

// onlyLooks tells which commands may be typed again until they show what the page shows: a cluster that just started, or
// lost a member, elects a leader first, and on a busy machine that takes its time.
func onlyLooks(command string) bool {
	return strings.HasSuffix(command, "health") || strings.HasSuffix(command, "--dry-run")
}

type transcriptStep struct {
	command string
	output  []string
}

// transcripts reads the marked code blocks of a Markdown file: transcripts, and scripts (```sh).
func transcripts(t *testing.T, path string) []transcriptStep {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var steps []transcriptStep
	blocks := regexp.MustCompile("(?ms)^(<!-- transcript -->\n)?```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, block := range blocks {
		marked, language, body := block[1] != "", block[2], block[3]
		switch {
		case !marked && strings.HasPrefix(body, "$ ") && !strings.HasPrefix(body, "$ make "):
			t.Errorf("%s has a transcript that is not replayed: <!-- transcript --> is missing before\n%s", path, body)
		case marked && language == "sh":
			steps = append(steps, transcriptStep{command: strings.TrimSuffix(body, "\n")})
		case marked:
			steps = append(steps, transcript(body)...)
		}
	}
	return steps
}

// transcript reads a block of commands behind prompts, each with what it prints.
func transcript(block string) (steps []transcriptStep) {
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			command, _, _ = strings.Cut(command, "  #")
			steps = append(steps, transcriptStep{command: strings.TrimSpace(command)})
		} else if len(steps) > 0 {
			last := &steps[len(steps)-1]
			last.output = append(last.output, line)
		}
	}
	return steps
}

// linkBinary makes bin/etcdops in dir the binary under test, which is this one by another name.
func linkBinary(t *testing.T, dir string) {
	t.Helper()
	binary, err := exec.LookPath("etcdops")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "etcdops")); err != nil {
		t.Fatal(err)
	}
}

// shell is one bash that runs commands one after another, as a person's would.
type shell struct {
	dir string // where it works, ~/etcdops in the README
	in  *bufio.Writer
	out *bufio.Scanner
}

const endOfOutput = "end-of-output-of-this-command"

func startShell(ctx context.Context, t *testing.T, dir string) *shell {
	t.Helper()
	// The shell leads a namespace of processes: what it started ends with it.
	cmd := exec.CommandContext(ctx, "bash", "-c", "mount --make-rprivate / && mount -t proc proc /proc && ip link set lo up && exec bash")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "XDG_STATE_HOME="+dir, "HOME="+dir, "PS1=")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() && complaints.Len() > 0 {
			t.Logf("standard error of the shell:\n%s", complaints.String())
		}
	})
	return &shell{dir: dir, in: bufio.NewWriter(in), out: bufio.NewScanner(out)}
}

// run types one command and returns what it writes to standard output.
func (s *shell) run(ctx context.Context, t *testing.T, command string) string {
	t.Helper()
	fmt.Fprintf(s.in, "%s\necho; echo %s\n", command, endOfOutput)
	if err := s.in.Flush(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var lines []string
	for s.out.Scan() {
		if s.out.Text() == endOfOutput {
			return strings.ReplaceAll(strings.TrimRight(strings.Join(lines, "\n"), "\n"), s.dir, "~/etcdops")
		}
		lines = append(lines, s.out.Text())
	}
	t.Fatalf("the shell ended during %q (%v)", command, ctx.Err())
	return ""
}

// transcriptMatches compares what a reader would compare: not IDs, revisions, times, sizes or the width of gaps, nor which
// member leads. Counts are compared: "2 of 3".
func transcriptMatches(want, got string) bool {
	pattern := regexp.QuoteMeta(normal(want))
	pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("..."), `(?s:.*)`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(normal(got))
}

// normal is a transcript without what differs each time.
func normal(s string) string {
	spelled := strings.NewReplacer("0", "zero", "1", "one", "2", "two", "3", "three", "4", "four", "5", "five", "6", "six", "7", "seven", "8", "eight", "9", "nine")
	s = regexp.MustCompile(`\b[0-9]+ of [0-9]+\b|can lose [0-9]+|\[[0-9]+/[0-9]+\]|\bm[0-9]\b`).ReplaceAllStringFunc(s, spelled.Replace)
	for _, rule := range []struct{ pattern, word string }{
		{`\b[0-9]{8}-[0-9]{6}-[a-z0-9]{6}\b`, "OPERATION"},
		{`\b[0-9a-f]{13,16}\b|\b[0-9a-f]{8}\b`, "ID"},
		{`[0-9]+([.][0-9]+)*`, "N"},
		{`(N ?(ms|us|µs|ns|m|s))+\b`, "TIME"},
		{`[+-]?TIME \+-TIME|\bref\b`, "CLOCK"},
		{`\b(leader|follower)[ \t]{2,}`, "ROLE "},
		{`\bN[KM]/`, "SIZE/"},
		{`[ \t]+`, " "},
	} {
		s = regexp.MustCompile(rule.pattern).ReplaceAllString(s, rule.word)
	}
	return strings.TrimSpace(s)
}

func TestTranscriptMatches(t *testing.T) {
	for _, tc := range []struct {
		name, want, got string
		match           bool
	}{
		{"same but for an ID and a time", "OK  cdf818194e3a8c32  9 ms", "OK  8e9e05c52164694d  131 ms", true},
		{"another count", "2 of 3 voters", "3 of 3 voters", false},
		{"another step", "[7/9] start m3", "[8/9] start m3", false},
		{"another member", "promote m3 to a voter", "promote m2 to a voter", false},
		{"another leader", "m1  leader    ok  4ms  ref", "m1  follower  ok  1.2s  -217us +-1.24ms", true},
		{"another verdict", "OK  9 ms", "CRITICAL  9 ms", false},
		{"lines left out", "a\n...\nz", "a\nb\nc\nz", true},
		{"a line too many", "a", "a\nb", false},
		{"no special meaning", "a.c", "abc", false},
	} {
		if got := transcriptMatches(tc.want, tc.got); got != tc.match {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.match)
		}
	}
}
