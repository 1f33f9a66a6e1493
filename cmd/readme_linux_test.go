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
// <!-- transcript -->; `...` stands for any lines.
func TestReadme(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace of its own needs root: the README's commands use the default ports")
	}
	lines := transcripts(t, filepath.Join("..", "README.md"))
	dir := t.TempDir()
	linkBinary(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sh := startShell(ctx, t, dir)
	for _, step := range lines {
		if strings.Contains(step.command, "etcdops serve") {
			sh.run(ctx, t, step.command+" >serve.log 2>&1 & until curl -fs http://127.0.0.1:2379/readyz >/dev/null; do :; done")
			continue
		}
		got := sh.run(ctx, t, step.command)
		if want := strings.Join(step.output, "\n"); !transcriptMatches(want, got) {
			t.Errorf("%s\nthe README shows:\n%s\nbut it prints:\n%s", step.command, want, got)
		}
	}
}

type transcriptStep struct {
	command string
	output  []string
}

// transcripts reads the marked code blocks of a Markdown file.
func transcripts(t *testing.T, path string) []transcriptStep {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var steps []transcriptStep
	for _, block := range strings.Split(string(text), "<!-- transcript -->\n```\n")[1:] {
		block, _, _ = strings.Cut(block, "\n```")
		for line := range strings.Lines(block + "\n") {
			line = strings.TrimSuffix(line, "\n")
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				command, _, _ = strings.Cut(command, "  #")
				steps = append(steps, transcriptStep{command: command})
			} else if len(steps) > 0 {
				last := &steps[len(steps)-1]
				last.output = append(last.output, line)
			}
		}
	}
	if len(steps) < 5 {
		t.Fatalf("%s has %d marked commands: were the markers changed?", path, len(steps))
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
	in  *bufio.Writer
	out *bufio.Scanner
}

const endOfOutput = "end-of-output-of-this-command"

func startShell(ctx context.Context, t *testing.T, dir string) *shell {
	t.Helper()
	// The shell leads a namespace of processes: what it started ends with it.
	cmd := exec.CommandContext(ctx, "bash", "-c", "mount -t proc proc /proc && ip link set lo up && exec bash")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "HOME="+dir)
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
	return &shell{in: bufio.NewWriter(in), out: bufio.NewScanner(out)}
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
			return strings.TrimRight(strings.Join(lines, "\n"), "\n")
		}
		lines = append(lines, s.out.Text())
	}
	t.Fatalf("the shell ended during %q (%v)", command, ctx.Err())
	return ""
}

// transcriptMatches compares what a reader would compare: not IDs, revisions, times, sizes or the width of gaps.
func transcriptMatches(want, got string) bool {
	normal := func(s string) string {
		s = regexp.MustCompile(`\b[0-9a-f]{14,16}\b|\b[0-9a-f]{8}\b`).ReplaceAllString(s, "ID")
		s = regexp.MustCompile(`[0-9]+([.][0-9]+)*`).ReplaceAllString(s, "N")
		s = regexp.MustCompile(`[ \t]+`).ReplaceAllString(s, " ")
		return strings.TrimSpace(s)
	}
	pattern := regexp.QuoteMeta(normal(want))
	pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("..."), `(?s:.*)`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(normal(got))
}

func TestTranscriptMatches(t *testing.T) {
	for _, tc := range []struct {
		name, want, got string
		match           bool
	}{
		{"same but for an ID and a time", "OK  cdf818194e3a8c32  9 ms", "OK  8e9e05c52164694d  131 ms", true},
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
