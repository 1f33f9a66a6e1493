package cmd

import "testing"

// TestFirstWord wants the command found behind flags with and without values, and nothing guessed.
func TestFirstWord(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"health", []string{"health"}},
		{"health", []string{"--endpoints", "version", "health", "--fast"}},
		{"health", []string{"--endpoints=a", "--debug", "--no-discover", "health"}},
		{"get", []string{"--context", "health", "get", "k"}},
		{"", []string{"-w", "json", "health"}},
		{"", []string{"--no-such-flag", "health"}},
		{"", []string{"--endpoints"}},
		{"", nil},
	} {
		if got := firstWord(tc.args); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.args, got, tc.want)
		}
	}
}

// TestOwnCommands wants each command of ours under the name that it is built by, and the same as in the whole tree.
func TestOwnCommands(t *testing.T) {
	t.Parallel()
	for _, c := range ownCommands() {
		if got := c.build(bareApp(t)).Name(); got != c.name {
			t.Errorf("%s is built for %s", got, c.name)
		}
		a := bareApp(t)
		a.first = c.name
		if n := len(commands(a)); !c.whole && n != 1 || c.whole && n < len(ownCommands()) {
			t.Errorf("%s: %d commands are built", c.name, n)
		}
	}
}

func bareApp(t *testing.T) *app {
	t.Helper()
	a, _, _ := testApp()
	return a
}
