package systemd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/internal/node/launch"
)

// unit is what a unit's files say of how the member is started.
type unit struct {
	prefix string // special characters before ExecStart's program
	launch launch.Launch
}

// parseUnit reads what `systemctl cat` prints: the unit's file and its drop-ins, later ones over earlier ones.
func parseUnit(text string) (unit, error) {
	var u unit
	var exec string
	u.launch.Dir = "/"
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, ";") {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "ExecStart":
			if exec != "" && value != "" {
				return u, errors.New("the unit starts more than one program")
			}
			exec = value
		case "WorkingDirectory":
			u.launch.Dir = strings.TrimPrefix(value, "-")
		case "Environment":
			pairs, err := words(value)
			if err != nil {
				return u, fmt.Errorf("setting Environment: %w", err)
			}
			if value == "" {
				u.launch.Env = nil
			}
			u.launch.Env = append(u.launch.Env, pairs...)
		case "EnvironmentFile":
			if err := u.readEnvironment(value); err != nil {
				return u, err
			}
		}
	}
	return u, u.parseExec(exec)
}

// readEnvironment reads a file of variables. One with a minus before its name may be missing.
func (u *unit) readEnvironment(value string) error {
	file, optional := strings.CutPrefix(value, "-")
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && optional {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the unit's environment: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, ";") {
			continue
		}
		if unquoted, err := words(value); err == nil && len(unquoted) == 1 {
			value = unquoted[0]
		}
		u.launch.Env = append(slices.DeleteFunc(u.launch.Env, func(e string) bool { return strings.HasPrefix(e, key+"=") }), key+"="+value)
	}
	return nil
}

// parseExec takes the command line apart and expands what systemd expands.
func (u *unit) parseExec(exec string) error {
	bare := strings.TrimLeft(exec, "-:+!@")
	u.prefix = exec[:len(exec)-len(bare)]
	args, err := words(bare)
	if err != nil || len(args) == 0 || strings.Contains(u.prefix, "@") {
		return fmt.Errorf("the unit's ExecStart %q cannot be understood: %w", exec, errors.Join(err, errUnit))
	}
	for _, arg := range args {
		if strings.Contains(strings.ReplaceAll(arg, "%%", ""), "%") {
			return fmt.Errorf("the unit's ExecStart has a specifier in %q, which is not known here: %w", arg, errUnit)
		}
		arg = strings.ReplaceAll(arg, "%%", "%")
		name, whole := strings.CutPrefix(arg, "$")
		if whole && !strings.HasPrefix(name, "{") && !strings.HasPrefix(name, "$") { // a word of its own: split at blanks
			u.launch.Args = append(u.launch.Args, strings.Fields(u.variable(name))...)
			continue
		}
		u.launch.Args = append(u.launch.Args, os.Expand(strings.ReplaceAll(arg, "$$", "${$}"), func(name string) string {
			if name == "$" {
				return "$"
			}
			return u.variable(name)
		}))
	}
	return nil
}

var errUnit = errors.New("use --via hooks:PROGRAM for this unit")

func (u *unit) variable(name string) string {
	for _, e := range slices.Backward(u.launch.Env) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// words splits a line as systemd does: at blanks, with quotes and backslashes.
func words(text string) ([]string, error) {
	var out []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				out = append(out, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		out = append(out, word.String())
	}
	return out, nil
}

// quote writes a command line so that systemd takes it literally.
func quote(args []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`)
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = `"` + escape.Replace(arg) + `"`
	}
	return strings.Join(out, " ")
}
