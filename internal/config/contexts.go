package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/suggest"
	"github.com/etcdops/etcdops/ops"
)

// Context is a named way to reach a cluster. It holds no secret, only the file that one is in. Empty fields are not
// set, so that what discovery or the defaults say of them counts.
type Context struct {
	Name               string   `yaml:"name" json:"name"`
	Endpoints          []string `yaml:"endpoints,omitempty,flow" json:"endpoints,omitempty"`
	CACert             string   `yaml:"cacert,omitempty" json:"cacert,omitempty"`
	Cert               string   `yaml:"cert,omitempty" json:"cert,omitempty"`
	Key                string   `yaml:"key,omitempty" json:"key,omitempty"`
	ServerName         string   `yaml:"tls_server_name,omitempty" json:"tls_server_name,omitempty"`
	InsecureSkipVerify bool     `yaml:"insecure_skip_tls_verify,omitempty" json:"insecure_skip_tls_verify,omitempty"`
	DiscoverySRV       string   `yaml:"discovery_srv,omitempty" json:"discovery_srv,omitempty"`
	DiscoverySRVName   string   `yaml:"discovery_srv_name,omitempty" json:"discovery_srv_name,omitempty"`
	User               string   `yaml:"user,omitempty" json:"user,omitempty"`
	PasswordFile       string   `yaml:"password_file,omitempty" json:"password_file,omitempty"`
	DialTimeout        string   `yaml:"dial_timeout,omitempty" json:"dial_timeout,omitempty"`
	CommandTimeout     string   `yaml:"command_timeout,omitempty" json:"command_timeout,omitempty"`
}

// validName reports whether a context may be called that: nothing that a shell or a path could take for something else.
func validName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) <= 63 && strings.ContainsRune(letters, rune(name[0])) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(letters+"._@-", r) })
}

// Check reports what is wrong with a context, as *ops.HintError; at says where it stands, for the message.
func (c Context) Check(at string) error {
	fail := func(format string, args ...any) error {
		return &ops.HintError{
			Code: CodeBadContext, Class: ops.ClassUsage, Op: "check context", Member: at,
			Err: fmt.Errorf(format, args...), Hint: "etcdops context add --help",
		}
	}
	switch {
	case !validName(c.Name):
		return fail("name %q: 1 to 63 letters, digits, . _ @ -, a letter or digit first", c.Name)
	case len(c.Endpoints) == 0 && c.DiscoverySRV == "":
		return fail("%s names no endpoint and no discovery_srv", c.Name)
	case (c.Cert == "") != (c.Key == ""):
		return fail("%s: cert and key go together", c.Name)
	case c.PasswordFile != "" && c.User == "":
		return fail("%s has a password_file and no user", c.Name)
	case strings.Contains(c.User, ":") && c.PasswordFile == "":
		return fail("%s: a context holds no password: name the file that it is in as password_file", c.Name)
	case c.PasswordFile == "-":
		return fail("%s: standard input is no password_file of a context", c.Name)
	}
	for field, value := range map[string]string{"dial_timeout": c.DialTimeout, "command_timeout": c.CommandTimeout} {
		if d, err := time.ParseDuration(value); value != "" && (err != nil || d <= 0) {
			return fail("%s: %s %q is no duration such as 5s", c.Name, field, value)
		}
	}
	for _, endpoint := range c.Endpoints {
		if err := ops.CheckEndpoint(endpoint); err != nil {
			return fail("%s: %w", c.Name, err)
		}
	}
	return nil
}

// settings returns what the context sets, by the settings' names.
func (c Context) settings() map[string]any {
	all := map[string]any{
		keyEndpoints: c.Endpoints, keyCACert: c.CACert, keyCert: c.Cert, keyKey: c.Key, keyServerName: c.ServerName,
		keyInsecureSkipVerify: c.InsecureSkipVerify, keyDiscoverySRV: c.DiscoverySRV, keyDiscoverySRVName: c.DiscoverySRVName,
		keyUser: c.User, keyPasswordFile: c.PasswordFile, keyDialTimeout: c.DialTimeout, keyCommandTimeout: c.CommandTimeout,
	}
	maps.DeleteFunc(all, func(_ string, value any) bool {
		switch value := value.(type) {
		case string:
			return value == ""
		case bool:
			return !value
		case []string:
			return len(value) == 0
		}
		return false
	})
	return all
}

// Rows lists what the context sets for a table.
func (c Context) Rows() [][]string {
	skip := ""
	if c.InsecureSkipVerify {
		skip = "true"
	}
	return filled([][]string{
		{"name", c.Name},
		{keyEndpoints, strings.Join(c.Endpoints, ",")},
		{keyCACert, c.CACert},
		{keyCert, c.Cert},
		{keyKey, c.Key},
		{keyServerName, c.ServerName},
		{keyInsecureSkipVerify, skip},
		{keyDiscoverySRV, c.DiscoverySRV},
		{keyDiscoverySRVName, c.DiscoverySRVName},
		{keyUser, c.User},
		{keyPasswordFile, c.PasswordFile},
		{keyDialTimeout, c.DialTimeout},
		{keyCommandTimeout, c.CommandTimeout},
	})
}

// Contexts is the content of the file of contexts. They are a list and not a map, because names keep their case and
// their dots.
type Contexts struct {
	Current  string    `yaml:"current,omitempty" json:"current,omitempty"`
	Contexts []Context `yaml:"contexts" json:"contexts"`
}

// Find returns the context of that name.
func (c *Contexts) Find(name string) (Context, error) {
	if i := c.index(name); i >= 0 {
		return c.Contexts[i], nil
	}
	return Context{}, c.missing(name)
}

func (c *Contexts) index(name string) int {
	return slices.IndexFunc(c.Contexts, func(ctx Context) bool { return ctx.Name == name })
}

func (c *Contexts) missing(name string) error {
	names := make([]string, len(c.Contexts))
	for i, ctx := range c.Contexts {
		names[i] = ctx.Name
	}
	hint := "etcdops context add " + name + " --endpoints https://HOST:2379"
	if guess := suggest.Nearest(name, names); guess != "" {
		hint = "did you mean " + guess + "? etcdops context list shows all"
	} else if len(names) > 0 {
		hint = "etcdops context list shows all"
	}
	return &ops.HintError{
		Code: CodeNoContext, Class: ops.ClassUsage, Op: "find context", Member: name,
		Err: fmt.Errorf("none of the %d contexts has this name", len(names)), Hint: hint,
	}
}

// Add appends a context; replace allows it to take the place of one of the same name. The first one becomes current.
func (c *Contexts) Add(ctx Context, replace bool) error {
	if err := ctx.Check(ctx.Name); err != nil {
		return err
	}
	i := c.index(ctx.Name)
	switch {
	case i >= 0 && !replace:
		return &ops.HintError{
			Code: CodeContextExists, Class: ops.ClassUsage, Op: "add context", Member: ctx.Name,
			Err: errors.New("a context of this name exists"), Hint: "--replace puts the new one in its place",
		}
	case i >= 0:
		c.Contexts[i] = ctx
	default:
		c.Contexts = append(c.Contexts, ctx)
	}
	if len(c.Contexts) == 1 {
		c.Current = ctx.Name
	}
	return nil
}

// Use makes a context the current one.
func (c *Contexts) Use(name string) error {
	if c.index(name) < 0 {
		return c.missing(name)
	}
	c.Current = name
	return nil
}

// Rename gives a context another name.
func (c *Contexts) Rename(from, to string) error {
	i := c.index(from)
	if i < 0 {
		return c.missing(from)
	}
	if c.index(to) >= 0 && from != to {
		return &ops.HintError{
			Code: CodeContextExists, Class: ops.ClassUsage, Op: "rename context", Member: from,
			Err: fmt.Errorf("a context %s exists already", to), Hint: "etcdops context delete " + to,
		}
	}
	renamed := c.Contexts[i]
	renamed.Name = to
	if err := renamed.Check(to); err != nil {
		return err
	}
	c.Contexts[i] = renamed
	if c.Current == from {
		c.Current = to
	}
	return nil
}

// Delete removes a context; when it was the current one, none is.
func (c *Contexts) Delete(name string) error {
	i := c.index(name)
	if i < 0 {
		return c.missing(name)
	}
	c.Contexts = slices.Delete(c.Contexts, i, i+1)
	if c.Current == name {
		c.Current = ""
	}
	return nil
}
