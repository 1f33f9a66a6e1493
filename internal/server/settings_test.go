package server

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/features"

	"github.com/etcdops/etcdops/ops"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadSettings(t *testing.T) {
	for name, c := range map[string]struct {
		args, env []string
		file      string
		code      ops.Code
		says      string // in the error
		hint      string // in the hint
	}{
		"misspelled flag":       {args: []string{"--listen-client-url=x"}, code: "ETO-3001", says: "--listen-client-url", hint: "--listen-client-urls"},
		"far from any flag":     {args: []string{"--xyzzyplugh=1"}, code: "ETO-3001", hint: "--help"},
		"flag of 3.5":           {args: []string{"--experimental-initial-corrupt-check"}, code: "ETO-3001", hint: "--feature-gates=InitialCorruptCheck=true"},
		"flag lost its prefix":  {args: []string{"--experimental-max-learners=3"}, code: "ETO-3001", hint: "--max-learners"},
		"removed flag":          {args: []string{"--enable-v2"}, code: "ETO-3001", hint: "removed"},
		"boolean after a space": {args: []string{"--pre-vote", "false"}, code: "ETO-3001", hint: "--pre-vote=false"},
		"word":                  {args: []string{"start"}, code: "ETO-3001", says: `"start"`},
		"bad URL":               {args: []string{"--listen-client-urls=127.0.0.1:2379"}, code: "ETO-3002", says: "listen-client-urls"},
		"URL with a name":       {args: []string{"--listen-peer-urls=http://host.example:1"}, code: "ETO-3004", says: "host.example"},
		"bad variable":          {env: []string{"ETCD_HEARTBEAT_INTERVAL=soon"}, code: "ETO-3002", says: "ETCD_HEARTBEAT_INTERVAL"},
		"bad level":             {args: []string{"--log-level=loud"}, code: "ETO-3002", says: "loud"},
		"no advertised URLs":    {args: []string{"--listen-client-urls=http://127.0.0.1:1"}, code: "ETO-3004", hint: "--advertise-client-urls"},
		"two ways to bootstrap": {args: []string{"--discovery-srv=a", "--initial-cluster=a=http://b:1"}, code: "ETO-3004", hint: "keep one"},
		"bad addition":          {args: []string{"--gc-percent=-3"}, code: "ETO-3002", says: "gc-percent"},
		"bad addition variable": {env: []string{"ETCDOPS_SERVE_MEMORY_LIMIT=lots"}, code: "ETO-3002", says: "ETCDOPS_SERVE_MEMORY_LIMIT"},
		"empty file":            {file: "\n", code: "ETO-3003", says: "empty"},
		"half-written file":     {file: "name: m1\ndata-dir: /x\nlisten-cl", code: "ETO-3003", says: "line"},
		"file of another kind":  {file: "<html>\n", code: "ETO-3003"},
		"bad URL in file":       {file: "listen-peer-urls: nonsense\n", code: "ETO-3003", says: "listen-peer-urls"},
		"bad origin in file":    {file: "cors: nonsense\n", code: "ETO-3003", says: "cors"},
		"text for a number":     {file: "heartbeat-interval: soon\n", code: "ETO-3003", says: "heartbeat-interval"},
		"number for a text":     {file: "auto-compaction-retention: 5\n", code: "ETO-3003", says: "auto-compaction-retention: a number", hint: "quotes"},
		"duration in file":      {file: "watch-progress-notify-interval: 10m\n", code: "ETO-3003", says: "nanoseconds", hint: "10000000000"},
		"unknown addition":      {file: "etcdops:\n  gc-precent: 3\n", code: "ETO-3003", hint: "gc-percent"},
		"section is a word":     {file: "etcdops: yes please\n", code: "ETO-3003", says: "etcdops"},
		"file's level":          {file: "log-level: loud\n", code: "ETO-3002", says: "loud"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file != "" {
				c.args = append(c.args, "--config-file="+writeFile(t, c.file))
			}
			_, err := Parse(c.args, c.env)
			var hint *ops.HintError
			if !errors.As(err, &hint) {
				t.Fatalf("got %v, want a hinted error", err)
			}
			if hint.Code != c.code || hint.Class != ops.ClassUsage {
				t.Errorf("got code %s class %d, want %s usage: %v", hint.Code, hint.Class, c.code, err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(hint.Hint, c.hint) {
				t.Errorf("got %q, hint %q; want %q, %q in them", err, hint.Hint, c.says, c.hint)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.yaml")
	_, err := Parse([]string{"--config-file", path}, nil)
	if ops.CodeOf(err) != "ETO-3003" || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// TestParseTouchesNothing: log files are upstream's to open, once everything else is right.
func TestParseTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	settings := writeFile(t, "log-outputs: [one.log]\n")
	for _, args := range [][]string{{"--log-outputs=two.log"}, {"--config-file=" + settings}, {"--auto-tls", "--peer-auto-tls"}} {
		if _, err := Parse(args, nil); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		args, env []string
		file      string
		want      string
	}{
		"flag wins":          {args: []string{"--name=a"}, env: []string{"ETCD_NAME=b"}, want: "--name overrules the variable ETCD_NAME"},
		"unknown variable":   {env: []string{"ETCD_NAEM=b"}, want: "ETCD_NAEM (did you mean ETCD_NAME?)"},
		"version variable":   {env: []string{"ETCD_VERSION=3"}, want: ""},
		"file wins":          {args: []string{"--name=a"}, env: []string{"ETCD_DATA_DIR=b"}, file: "name: c\n", want: "ignored: ETCD_DATA_DIR, --name"},
		"misspelled key":     {file: "naem: c\n", want: "nothing reads naem (did you mean name?)"},
		"misspelled TLS key": {file: "peer-transport-security:\n  trusted-ca: c\n", want: "did you mean trusted-ca-file?"},
		"no last newline":    {file: "name: c", want: "does not end with a newline"},
		"former name":        {args: []string{"--snapshot"}, want: "--snapshot is ignored"},
		"deprecated":         {args: []string{"--max-snapshots=3"}, want: "--max-snapshots is deprecated"},
		"deprecated in file": {file: "max-snapshots: 3\n", want: "--max-snapshots is deprecated"},
		"no fsync":           {args: []string{"--unsafe-no-fsync"}, want: "lost"},
		"force new cluster":  {args: []string{"--force-new-cluster"}, want: "quorum-lost"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file != "" {
				c.args = append(c.args, "--config-file="+writeFile(t, c.file))
			}
			s, err := Parse(c.args, c.env)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(s.Warnings, "\n")
			if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestFlagWinsOverVariable(t *testing.T) {
	s, err := Parse([]string{"--name=typed"}, []string{"ETCD_NAME=variable"})
	if err != nil || s.Config.Name != "typed" {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestAdditionsPrecedence(t *testing.T) {
	file := writeFile(t, "etcdops:\n  gc-percent: 111\n  memory-limit: 1GiB\n  banner: false\n")
	for name, c := range map[string]struct {
		args, env []string
		want      Additions
	}{
		"default":              {want: Additions{GCPercent: Auto, MemoryLimit: Auto, Banner: true}},
		"file":                 {args: []string{"--config-file=" + file}, want: Additions{GCPercent: 111, MemoryLimit: 1 << 30}},
		"variable before file": {args: []string{"--config-file=" + file}, env: []string{"ETCDOPS_SERVE_GC_PERCENT=222"}, want: Additions{GCPercent: 222, MemoryLimit: 1 << 30}},
		"flag before variable": {args: []string{"--config-file=" + file, "--gc-percent=off"}, env: []string{"ETCDOPS_SERVE_GC_PERCENT=222"}, want: Additions{GCPercent: Off, MemoryLimit: 1 << 30}},
		"words":                {args: []string{"--gc-percent=auto", "--memory-limit=off"}, want: Additions{MemoryLimit: Off, Banner: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(c.args, c.env)
			if err != nil || s.Additions != c.want {
				t.Errorf("got %+v, %v, want %+v", s, err, c.want)
			}
		})
	}
}

// TestExtraAdditions: what other parts add gets variable, file and refusal of unknown keys for nothing.
func TestExtraAdditions(t *testing.T) {
	var schedule string
	add := func(fs *flag.FlagSet) { fs.StringVar(&schedule, "backup-schedule", "", "") }
	file := writeFile(t, "etcdops:\n  backup-schedule: hourly\n")
	if _, err := Parse([]string{"--config-file=" + file}, nil, add); err != nil || schedule != "hourly" {
		t.Errorf("from the file: %q, %v", schedule, err)
	}
	if _, err := Parse([]string{"--config-file=" + file}, []string{"ETCDOPS_SERVE_BACKUP_SCHEDULE=daily"}, add); err != nil || schedule != "daily" {
		t.Errorf("from the variable: %q, %v", schedule, err)
	}
	if _, err := Parse([]string{"--config-file=" + file}, nil); ops.CodeOf(err) != "ETO-3003" {
		t.Errorf("without the addition: %v", err)
	}
}

func TestHashCheckDefault(t *testing.T) {
	for gates, want := range map[string]bool{"": true, "CompactHashCheck=false": false, "AllAlpha=false": false, "InitialCorruptCheck=true": true} {
		s, err := Parse([]string{"--feature-gates=" + gates}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Config.ServerFeatureGate.Enabled(features.CompactHashCheck); got != want {
			t.Errorf("with %q CompactHashCheck is %t", gates, got)
		}
	}
}
