package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// program is a program under comparison: how it is called, and in which environment.
type program struct {
	path string
	name string // argv[0]
	env  []string
}

// result is what a run of a program came to.
type result struct {
	out, err string
	code     int
}

// etcdopsProgram is this test binary as etcdops (see TestMain), or by another name.
func etcdopsProgram(tb testing.TB, name string, env ...string) program {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return program{self, name, env}
}

// buildUpstream builds one of upstream's programs from the modules that this program is built of.
func buildUpstream(tb testing.TB, name, pkg string) program {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return program{path: path, name: name}
}

// run runs the program to its end.
func (p program) run(tb testing.TB, stdin string, args ...string) result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	cmd := p.command(ctx, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		tb.Fatalf("run %s %q: %v", p.name, args, err)
	}
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Args = append([]string{p.name}, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ETCDCTL_") || strings.HasPrefix(v, "ETCDOPS_")
	}), p.env...)
	return cmd
}

// session runs one program's commands on a fresh member, whose IDs are the same for every program that gets it.
type session struct {
	program
	connect []string
	learnt  map[string]string // words of this run alone (IDs made from the clock), by the name that replaces them
}

// step is one command: its words, of which $NAME stands for something learnt, and its input.
type step struct {
	line  string
	stdin string
	learn string // name of the first ID of 12 to 16 hexadecimal digits in the output
	own   bool   // the error is told in etcdops' own words
}

var (
	durations = regexp.MustCompile(`\b[0-9.]+(µs|ms|s)\b`)
	sizes     = regexp.MustCompile(`\b[0-9.]+ [kMG]?B\b|[0-9]+%|"(DBSize|DBSizeInUse|dbSize|dbSizeInUse)" ?: ?[0-9]+|"Value" : "[^"]*m[0-9]+"`)
	logged    = regexp.MustCompile(`"ts":"[^"]*"|"target":"[^"]*"|LocalAddr: '[^']*'`)
	padded    = regexp.MustCompile(` +\$`) // an ID that begins with zeros
	tableFill = regexp.MustCompile(`([ ─]) *─*`)
	ids       = regexp.MustCompile(`\b[0-9a-f]{12,16}\b`)
)

// do runs a step; the output is returned without what no two runs have in common.
func (s *session) do(tb testing.TB, st step) result {
	tb.Helper()
	var words []string
	for word := range strings.FieldsSeq(st.line) {
		for name, text := range s.learnt {
			word = strings.ReplaceAll(word, "$"+name, text)
		}
		words = append(words, strings.ReplaceAll(word, "~", " "))
	}
	r := s.run(tb, st.stdin, append(slices.Clone(s.connect), words...)...)
	if st.learn != "" {
		s.learnt[st.learn] = ids.FindString(r.out)
	}
	r.out, r.err = s.normal(r.out), s.normal(r.err)
	return r
}

func (s *session) normal(text string) string {
	for name, id := range s.learnt {
		text = strings.ReplaceAll(strings.ReplaceAll(text, id, "$"+name), decimal(id), "$"+name)
	}
	text = padded.ReplaceAllString(text, " $$")
	for _, r := range []*regexp.Regexp{durations, sizes, logged} {
		text = r.ReplaceAllString(text, "*")
	}
	if strings.Contains(text, "│") { // a table is as wide as what was replaced
		text = tableFill.ReplaceAllString(text, "$1")
	}
	return text
}

// TestSameAsEtcdctl runs the same commands by etcdctl and by etcdops on two fresh members with the same IDs, and
// compares every byte and exit code.
func TestSameAsEtcdctl(t *testing.T) {
	t.Parallel()
	cluster := clustertest.New(t, clustertest.Options{Args: []string{"--bcrypt-cost", "4"}})
	member := cluster.Members[0]
	connect := []string{"--endpoints", member.ClientURL, "--dial-timeout", "30s", "--command-timeout", "30s"}
	steps := compareSteps()

	etcdctl := &session{buildUpstream(t, "etcdctl", "go.etcd.io/etcd/etcdctl/v3"), connect, map[string]string{}}
	want := make([]result, len(steps))
	for i, st := range steps {
		want[i] = etcdctl.do(t, st)
	}
	member.Stop(t)
	member.Wipe(t)
	member.Start(t)
	etcdops := &session{etcdopsProgram(t, "etcdops"), connect, map[string]string{}}
	for i, st := range steps {
		got := etcdops.do(t, st)
		if st.own {
			got.err, want[i].err = "", ""
		}
		if got != want[i] {
			t.Errorf("%s\n  etcdops: %+v\n  etcdctl: %+v", st.line, got, want[i])
		}
	}
}
