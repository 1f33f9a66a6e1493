package datadir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// Limits of a child process that parses files.
const (
	workerMemory = 1 << 30   // bytes of private memory, after which it is ended
	workerHeap   = 128 << 20 // bytes after which it collects garbage harder
	workerBase   = time.Minute
	workerSpeed  = 10 << 20 // bytes that are read in a second at the very least
	maxAnswer    = 1 << 30
)

// Sandbox inspects in a child process that cannot write a file, whose memory, processor time and running time are limited,
// and whose end, however it comes, is a fact about the file.
type Sandbox struct {
	Path string   // of a program that calls Work when it is started with Args
	Args []string // with the program's own name
}

// request is what a child is asked.
type request struct {
	Path    string        `json:"path"`
	Options Options       `json:"options"`
	CPU     time.Duration `json:"cpu"`
}

// answer is what it says.
type answer struct {
	Info  Info    `json:"info"`
	Log   *Digest `json:"log"`
	Error string  `json:"error,omitempty"`
}

// Inspect is Inspect in a child process. The error is about the path or about ctx; what the file did to the child is
// found in the result, as a state of unreadable.
func (s Sandbox) Inspect(ctx context.Context, path string, opts Options) (Info, error) {
	start := time.Now()
	limit, err := timeFor(path, opts)
	if err != nil {
		return Info{}, pathError(ctx, path, err)
	}
	question, err := json.Marshal(request{Path: path, Options: opts, CPU: limit})
	if err != nil {
		return Info{}, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	cmd := exec.CommandContext(bounded, s.Path)
	var out, diagnostics bytes.Buffer
	cmd.Args, cmd.Stdin = s.Args, bytes.NewReader(question)
	cmd.Stdout, cmd.Stderr = &limitedWriter{w: &out, left: maxAnswer}, &limitedWriter{w: &diagnostics, left: 64 << 10}
	cmd.WaitDelay = 5 * time.Second
	ran := cmd.Run()
	if ctx.Err() != nil {
		return Info{}, pathError(ctx, path, context.Cause(ctx))
	}
	var a answer
	if ran == nil {
		ran = json.Unmarshal(out.Bytes(), &a)
	}
	if ran != nil {
		if started := cmd.Process != nil; !started {
			return Info{}, fmt.Errorf("start the process that parses: %w", ran)
		}
		return unreadable(path, start, failureOf(bounded, ran, diagnostics.String())), nil
	}
	a.Info.Log = a.Log
	if a.Error != "" {
		return a.Info, pathError(ctx, path, errors.New(a.Error))
	}
	a.Info.took(start)
	return a.Info, nil
}

// unreadable is all that is known of a file that ended the process which parsed it.
func unreadable(path string, start time.Time, why string) Info {
	i := Info{Path: path, Kind: KindSnapshot, State: StateClean}
	i.Problems, i.Members, i.Snapshots = []Problem{}, []Member{}, []Snap{}
	i.Removed, i.Changes = orEmpty(i.Removed), orEmpty(i.Changes)
	if stat, err := os.Stat(path); err == nil && stat.IsDir() {
		i.Kind = KindDirectory
	}
	i.add(SeverityDamage, "", why)
	i.worsen(StateUnreadable)
	i.took(start)
	return i
}

// failureOf says in a line how the child ended.
func failureOf(bounded context.Context, err error, diagnostics string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(diagnostics), "\n")
	if cause := context.Cause(bounded); cause != nil {
		return "the process that parsed it was ended: " + cause.Error()
	}
	text := "the process that parsed it ended: " + err.Error()
	if line != "" {
		text += ": " + line
	}
	return text
}

// timeFor is how long parsing may take at most: it grows with what there is to read.
func timeFor(path string, opts Options) (time.Duration, error) {
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	var size int64
	for _, dir := range []string{path, opts.WALDir} {
		if dir == "" {
			continue
		}
		_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // the child will tell
			}
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				size += info.Size()
			}
			return nil
		})
	}
	return workerBase + time.Duration(size/workerSpeed)*time.Second, nil
}

// Work is the child's side: it reads one request, limits itself, and answers.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	var q request
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	debug.SetMemoryLimit(workerHeap)
	if err := limitProcess(q.CPU); err != nil {
		return fmt.Errorf("limit the process: %w", err)
	}
	a := guarded(ctx, q)
	return json.NewEncoder(out).Encode(a)
}

// guarded turns a panic over a file into a fact about it.
func guarded(ctx context.Context, q request) (a answer) {
	start := time.Now()
	defer func() {
		if r := recover(); r != nil {
			a = answer{Info: unreadable(q.Path, start, fmt.Sprintf("it cannot be parsed: %v", r))}
		}
	}()
	info, err := Inspect(ctx, q.Path, q.Options)
	a.Info, a.Log = info, info.Log
	if err != nil {
		a.Error = cause(err)
	}
	return a
}

// limitedWriter fails when more than left bytes are written.
type limitedWriter struct {
	w    io.Writer
	left int
}

// Write implements io.Writer.
func (l *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errors.New("too much output")
	}
	l.left -= len(p)
	return l.w.Write(p)
}
