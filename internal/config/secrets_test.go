package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, open := file("good", "from file\n", 0o600), file("open", "from file", 0o644)
	contexts := contextsFile(t, "current: a\ncontexts:\n- {name: a, endpoints: [e:1], user: alice, password_file: "+good+"}\n")
	ask := func(string) (string, error) { return "asked", nil }
	for name, tt := range map[string]struct {
		args     []string
		env      map[string]string
		contexts string
		stdin    string
		prompt   func(string) (string, error)
		want     ops.Auth
		code     ops.Code
		notice   string
	}{
		"none":                     {},
		"from a file":              {args: []string{"--user", "bob", "--password-file", good}, want: ops.Auth{User: "bob", Password: "from file"}},
		"from a file for all":      {args: []string{"--user", "bob", "--password-file", open}, want: ops.Auth{User: "bob", Password: "from file"}, notice: "chmod 600"},
		"from standard input":      {args: []string{"--user", "bob", "--password-file", "-"}, stdin: "piped\r\n", want: ops.Auth{User: "bob", Password: "piped"}},
		"asked for":                {args: []string{"--user", "bob"}, prompt: ask, want: ops.Auth{User: "bob", Password: "asked"}},
		"nobody to ask":            {args: []string{"--user", "bob"}, code: config.CodeNoPrompt},
		"as etcdctl has it":        {args: []string{"--user", "bob:pw:x"}, want: ops.Auth{User: "bob", Password: "pw:x"}, notice: "every user of this machine"},
		"typed":                    {args: []string{"--user", "bob", "--password", "pw"}, want: ops.Auth{User: "bob", Password: "pw"}, notice: "every user of this machine"},
		"variables":                {env: map[string]string{"ETCDCTL_USER": "bob:pw"}, want: ops.Auth{User: "bob", Password: "pw"}},
		"variable of the password": {args: []string{"--user", "bob"}, env: map[string]string{"ETCDCTL_PASSWORD": "pw"}, want: ops.Auth{User: "bob", Password: "pw"}},
		"file over variable":       {args: []string{"--user", "bob", "--password-file", good}, env: map[string]string{"ETCDCTL_PASSWORD": "pw"}, want: ops.Auth{User: "bob", Password: "from file"}},
		"typed over file":          {args: []string{"--user", "bob", "--password", "pw"}, env: map[string]string{"ETCDOPS_PASSWORD_FILE": good}, want: ops.Auth{User: "bob", Password: "pw"}, notice: "warning"},
		"inline over variable":     {args: []string{"--user", "bob:pw"}, env: map[string]string{"ETCDCTL_PASSWORD": "other"}, want: ops.Auth{User: "bob", Password: "pw"}, notice: "every user of this machine"},
		"file over inline":         {args: []string{"--password-file", good}, env: map[string]string{"ETCDCTL_USER": "bob:pw"}, want: ops.Auth{User: "bob", Password: "from file"}},
		"name with a colon":        {env: map[string]string{"ETCDCTL_USER": "a:pw", "ETCDCTL_PASSWORD": "x"}, want: ops.Auth{User: "a:pw", Password: "x"}},
		"a context's":              {contexts: contexts, want: ops.Auth{User: "alice", Password: "from file"}},
		"not another user's":       {contexts: contexts, args: []string{"--user", "bob"}, prompt: ask, want: ops.Auth{User: "bob", Password: "asked"}},
		"token":                    {args: []string{"--auth-jwt-token", "t"}, want: ops.Auth{Token: "t"}, notice: "--auth-jwt-token"},
		"token over a context":     {contexts: contexts, env: map[string]string{"ETCDCTL_AUTH_JWT_TOKEN": "t"}, want: ops.Auth{Token: "t"}},
		"user over a token":        {args: []string{"--user", "bob", "--password-file", good}, env: map[string]string{"ETCDCTL_AUTH_JWT_TOKEN": "t"}, want: ops.Auth{User: "bob", Password: "from file"}},
		"no file":                  {args: []string{"--user", "bob", "--password-file", good + "x"}, code: config.CodePasswordFile},
		"empty file":               {args: []string{"--user", "bob", "--password-file", file("empty", "\n", 0o600)}, code: config.CodePasswordFile},
		"two lines":                {args: []string{"--user", "bob", "--password-file", file("lines", "a\nb\n", 0o600)}, code: config.CodePasswordFile},
		"large file":               {args: []string{"--user", "bob", "--password-file", file("large", strings.Repeat("x", 5000), 0o600)}, code: config.CodePasswordFile},
		"directory":                {args: []string{"--user", "bob", "--password-file", dir}, code: config.CodePasswordFile},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			r, err := resolve(t, tt.contexts, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			err = r.ReadSecrets(config.SecretInput{Stdin: strings.NewReader(tt.stdin), Prompt: tt.prompt})
			if ops.CodeOf(err) != tt.code {
				t.Fatalf("code %q, want %q: %v", ops.CodeOf(err), tt.code, err)
			}
			if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Class != ops.ClassUsage {
				t.Errorf("class %v", hint.Class)
			}
			if tt.code == "" && r.Config.Auth != tt.want {
				t.Errorf("auth %+v, want %+v", r.Config.Auth, tt.want)
			}
			if told := strings.Join(r.Advice, "\n"); (tt.notice == "") != (told == "") || !strings.Contains(told, tt.notice) {
				t.Errorf("told %q, want %q", told, tt.notice)
			}
			for _, s := range r.Settings {
				if s.Value == "pw" || s.Value == "t" || strings.Contains(s.Value, ":pw") {
					t.Errorf("%s shows %s", s.Name, s.Value)
				}
			}
		})
	}
}
