package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

func TestContexts(t *testing.T) {
	t.Parallel()
	var all config.Contexts
	prod := config.Context{Name: "Prod.EU", Endpoints: []string{"https://e:1"}, User: "root", PasswordFile: "/p"}
	must(t, all.Add(prod, false))
	if all.Current != "Prod.EU" {
		t.Error("the first context is not current")
	}
	must(t, all.Add(config.Context{Name: "test", Endpoints: []string{"e:1"}}, false))
	for name, tt := range map[string]struct {
		err  error
		code ops.Code
	}{
		"add again":      {all.Add(prod, false), config.CodeContextExists},
		"add bad":        {all.Add(config.Context{Name: "x y", Endpoints: []string{"e:1"}}, false), config.CodeBadContext},
		"add nothing":    {all.Add(config.Context{Name: "x"}, false), config.CodeBadContext},
		"use unknown":    {all.Use("prod.eu"), config.CodeNoContext},
		"rename unknown": {all.Rename("x", "y"), config.CodeNoContext},
		"rename over":    {all.Rename("Prod.EU", "test"), config.CodeContextExists},
		"rename badly":   {all.Rename("Prod.EU", "-x"), config.CodeBadContext},
		"delete unknown": {all.Delete("x"), config.CodeNoContext},
	} {
		if got := ops.CodeOf(tt.err); got != tt.code {
			t.Errorf("%s: code %q, want %q: %v", name, got, tt.code, tt.err)
		}
	}
	must(t, all.Add(config.Context{Name: "test", Endpoints: []string{"e:2"}}, true))
	must(t, all.Rename("Prod.EU", "prod"))
	if all.Current != "prod" {
		t.Error("the current context did not keep its place when renamed")
	}
	must(t, all.Use("test"))
	if c, err := all.Find("test"); err != nil || c.Endpoints[0] != "e:2" {
		t.Errorf("found %+v, %v", c, err)
	}
	must(t, all.Delete("test"))
	if all.Current != "" || len(all.Contexts) != 1 {
		t.Errorf("left: %+v", all)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSave(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "new", "etcdops", "config.yaml")
	all := &config.Contexts{Current: "A.b", Contexts: []config.Context{{
		Name: "A.b", Endpoints: []string{"https://e:1", "unix:///s"}, CACert: "/ca", Cert: "/c", Key: "/k", ServerName: "n", InsecureSkipVerify: true,
		DiscoverySRV: "d", DiscoverySRVName: "s", User: "u", PasswordFile: "/p", DialTimeout: "1s", CommandTimeout: "2s",
	}}}
	must(t, config.Save(file, all))
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	got, err := config.Load(file)
	must(t, err)
	if got.Current != "A.b" || len(got.Contexts) != 1 || strings.Join(got.Contexts[0].Endpoints, ",") != "https://e:1,unix:///s" || got.Contexts[0].PasswordFile != "/p" {
		t.Errorf("read back %+v", got)
	}

	link := filepath.Join(t.TempDir(), "link.yaml")
	must(t, os.Symlink(file, link))
	must(t, config.Save(link, &config.Contexts{}))
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if got, err := config.Load(file); err != nil || len(got.Contexts) != 0 {
		t.Errorf("behind the link: %+v, %v", got, err)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSaveFails wants the old file untouched when the new one cannot be written.
func TestSaveFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte("contexts: []\n"), 0o600))
	err := config.Save(filepath.Join(file, "config.yaml"), &config.Contexts{}) // below a file there is no directory
	if ops.CodeOf(err) != config.CodeFileAccess {
		t.Errorf("%v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "contexts: []\n" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := config.Load(filepath.Dir(file)); ops.CodeOf(err) != config.CodeFileAccess {
		t.Errorf("a directory: %v", err)
	}
	must(t, os.WriteFile(file, make([]byte, 2<<20), 0o600))
	if _, err := config.Load(file); ops.CodeOf(err) != config.CodeBadFile {
		t.Errorf("a huge file: %v", err)
	}
}

func TestFile(t *testing.T) {
	t.Setenv("ETCDOPS_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "/h")
	for _, tt := range []struct{ name, value, want string }{
		{"HOME", "/home/me", "/home/me/.config/etcdops/config.yaml"},
		{"XDG_CONFIG_HOME", "relative", "/home/me/.config/etcdops/config.yaml"},
		{"XDG_CONFIG_HOME", "/xdg", "/xdg/etcdops/config.yaml"},
		{"ETCDOPS_CONFIG", "/x.yaml", "/x.yaml"},
	} {
		t.Setenv(tt.name, tt.value)
		if got := config.File(); got != tt.want {
			t.Errorf("%s=%s: %s", tt.name, tt.value, got)
		}
	}
	t.Setenv("ETCDOPS_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "")
	if got := config.File(); got != "" {
		t.Errorf("nowhere: %s", got)
	}
	if ops.CodeOf(config.Save("", &config.Contexts{})) != config.CodeFileAccess {
		t.Error("saved nowhere")
	}
}

func TestEditsAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "config.yaml")
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			_, err := config.Edit(path, func(all *config.Contexts) error {
				return all.Add(config.Context{Name: fmt.Sprint("c", i), Endpoints: []string{"localhost:2379"}}, false)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	all, err := config.Load(path)
	if err != nil || len(all.Contexts) != 20 {
		t.Errorf("%d of 20 contexts are left, %v", len(all.Contexts), err)
	}
}
