package cmd

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// typedCommand is one of our programs with its arguments, as a page tells to type it.
type typedCommand struct {
	program string
	args    []string
}

// shellCommands finds our programs in a piece of shell: in pipes, lists, loops and substitutions, and behind programs that
// run another one (sudo, kubectl exec, docker run, ssh).
func shellCommands(text string) ([]typedCommand, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(withoutBrackets(text)), "")
	if err != nil {
		return nil, err
	}
	var found []typedCommand
	syntax.Walk(file, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			words := make([]string, 0, len(call.Args))
			for _, word := range call.Args {
				words = append(words, wordText(word.Parts))
			}
			found = append(found, commandsAmong(words)...)
		}
		return true
	})
	return found, nil
}

// withoutBrackets makes a synopsis shell: <name> is a placeholder, [--flag] may be typed.
func withoutBrackets(text string) string {
	text = regexp.MustCompile(`<([A-Za-z][A-Za-z0-9 _:/.-]*)>`).ReplaceAllStringFunc(text, func(s string) string {
		return strings.ReplaceAll(strings.ToUpper(strings.Trim(s, "<>")), " ", "_")
	})
	text = regexp.MustCompile(` \[(?:flags|options|command)\]`).ReplaceAllString(text, " ")
	return regexp.MustCompile(`\[(-[^\[\]]*)\]`).ReplaceAllString(text, "$1")
}

// wordText is what a word of shell says; what only the shell knows is $.
func wordText(parts []syntax.WordPart) string {
	var text strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			text.WriteString(strings.ReplaceAll(part.Value, `\`, ""))
		case *syntax.SglQuoted:
			text.WriteString(part.Value)
		case *syntax.DblQuoted:
			text.WriteString(wordText(part.Parts))
		default:
			text.WriteString("$")
		}
	}
	return text.String()
}

// commandsAmong finds our program among the words of one simple command.
func commandsAmong(words []string) []typedCommand {
	if program := ourProgram(words[0]); program != "" {
		return []typedCommand{{program, words[1:]}}
	}
	rest := words[1:]
	switch words[0] {
	case "docker", "podman", "nerdctl":
		return inContainer(rest)
	case "kubectl", "systemd-run":
		if i := slices.Index(rest, "--"); i >= 0 && i+1 < len(rest) {
			return commandsAmong(rest[i+1:])
		}
		return nil
	case "sudo", "doas", "env", "exec", "time", "nice", "nohup", "timeout", "watch", "xargs", "if", "command", "ssh", "su", "runuser", "ip", "sh", "bash", "strace":
	default:
		return nil
	}
	for i, word := range rest {
		if program := ourProgram(word); program != "" {
			return []typedCommand{{program, rest[i+1:]}}
		}
		if strings.Contains(word, " ") { // sh -c '...', ssh HOST '...'
			if found, err := shellCommands(word); err == nil && len(found) > 0 {
				return found
			}
		}
	}
	return nil
}

// inContainer reads the words behind docker: `exec NAME PROGRAM ...` and `run IMAGE ...`, whose entry point is etcdops.
func inContainer(words []string) []typedCommand {
	verb := slices.IndexFunc(words, func(s string) bool { return s == "run" || s == "exec" })
	if verb < 0 {
		return nil
	}
	for i, word := range words[verb+1:] {
		rest := words[verb+2+i:]
		image, _, _ := strings.Cut(path.Base(word), ":")
		program := ourProgram(word)
		switch {
		case words[verb] == "run" && image == "etcdops" && strings.Contains(word, "/"), words[verb] == "run" && word == "IMAGE":
			return []typedCommand{{"etcdops", rest}}
		case words[verb] == "exec" && program != "" && program != programEtcd: // a container may be called etcd
			return []typedCommand{{program, rest}}
		}
	}
	return nil
}

// ourProgram is the name of the program of ours that a word calls.
func ourProgram(word string) string {
	name := path.Base(word)
	isDirectory := strings.HasPrefix(word, "/") && !strings.Contains(word, "bin/") // /var/lib/etcd
	if isDirectory || strings.Contains(word, " ") || !slices.Contains([]string{"etcdops", programEtcd, programEtcdctl, programEtcdutl}, name) {
		return ""
	}
	return name
}

func TestShellCommands(t *testing.T) {
	for text, want := range map[string]string{
		"etcdops get k -w json # a comment":                                      "etcdops get k -w json",
		"bin/etcdops put k \"hello world\"":                                      "etcdops put k hello world",
		"sudo -u etcd true; sudo /usr/bin/etcdops health":                        "etcd true|etcdops health",
		"ETCDOPS_CONTEXT=a etcdops health && etcdops status | grep m1":           "etcdops health|etcdops status",
		"etcdops compact $(etcdops get a -w json | jq .header.revision)":         "etcdops compact $|etcdops get a -w json",
		"etcdops recover member m3 \\\n  --via systemd:etcd \\\n  --dry-run":     "etcdops recover member m3 --via systemd:etcd --dry-run",
		"kubectl -n etcd exec -it etcd-0 -- etcdops member remove etcd-1":        "etcdops member remove etcd-1",
		"kubectl -n etcd delete pod etcd-1":                                      "",
		"docker run -p 1:1 --network etcd ghcr.io/etcdops/etcdops:v1 serve -x":   "etcdops serve -x",
		"docker run -it IMAGE etcdctl get k":                                     "etcdops etcdctl get k",
		"docker exec etcd etcdops health":                                        "etcdops health",
		"docker network create etcd":                                             "",
		"for n in 1 2; do etcdops health --member m$n; done":                     "etcdops health --member m$",
		"ssh root@h 'cd /x && etcdops inspect /var/lib/etcd'":                    "etcdops inspect /var/lib/etcd",
		"etcdops backup restore <ID> --data-dir DIR [--to-revision N] > out":     "etcdops backup restore ID --data-dir DIR --to-revision N",
		"until etcdops health; do sleep 1; done":                                 "etcdops health",
		"cat > f <<END\netcdops this is text of the file\nEND\netcdops health\n": "etcdops health",
	} {
		found, err := shellCommands(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		var got []string
		for _, c := range found {
			got = append(got, strings.Join(append([]string{c.program}, c.args...), " "))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s\nread as %q, want %q", text, got, want)
		}
	}
}
