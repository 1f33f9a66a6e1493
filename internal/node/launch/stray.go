package launch

import "strings"

// Stray finds an argument that is neither a flag nor the value of the flag before it, "" when there is none. etcd refuses
// such a command line; it comes of a list with commas that was not quoted. What stands before the first of etcd's own
// flags is not judged: it may be another program that starts etcd.
func (l Launch) Stray() string {
	flags, value := false, false
	for _, arg := range l.Args {
		switch {
		case arg == "--":
			return ""
		case strings.HasPrefix(arg, "-") && arg != "-":
			name, _, joined := splitFlag(arg)
			flags, value = flags || ownFlag(name), !joined
		case flags && !value:
			return arg
		default:
			value = false
		}
	}
	return ""
}

// ownFlag tells etcd's flags from those of a program that starts it.
func ownFlag(name string) bool {
	switch name {
	case "name", "data-dir", "wal-dir", "config-file":
		return true
	}
	return strings.HasPrefix(name, "listen-") || strings.HasPrefix(name, "initial-") || strings.HasPrefix(name, "advertise-")
}
