package cmd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manualSection is the one of the user's commands.
const manualSection = "1"

// manual writes the tree of commands as manual pages. cobra's own writer goes by way of markdown, whose parser would cost
// every command time at its start, and takes the texts, which are plain, for markdown.
type manual struct {
	dir     string
	day     time.Time
	version string
}

// writeTree writes the page of a command and of all below it, and counts them.
func (m manual) writeTree(cmd *cobra.Command) (int, error) {
	pages := 1
	if err := m.writeFile(cmd); err != nil {
		return 0, err
	}
	for _, child := range manualChildren(cmd) {
		n, err := m.writeTree(child)
		if err != nil {
			return 0, err
		}
		pages += n
	}
	return pages, nil
}

func (m manual) writeFile(cmd *cobra.Command) error {
	var page strings.Builder
	m.page(&page, cmd)
	path := filepath.Join(m.dir, manualName(cmd)+"."+manualSection)
	return os.WriteFile(path, []byte(page.String()), 0o644) //nolint:gosec // a manual is for everybody
}

// page writes the page of one command in the language of man(7).
func (m manual) page(w io.Writer, cmd *cobra.Command) {
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultHelpFlag()
	name := manualName(cmd)
	fmt.Fprintf(w, ".nh\n.TH %q %q %q %q %q\n", strings.ToUpper(name), manualSection, m.day.Format(time.DateOnly), "etcdops "+m.version, "etcdops")
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n\\fB%s\\fP\n", roff(cmd.UseLine()))
	description := cmd.Long
	if description == "" {
		description = cmd.Short
	}
	fmt.Fprint(w, ".SH DESCRIPTION\n")
	manualText(w, description)
	manualFlags(w, "OPTIONS", cmd.NonInheritedFlags())
	manualFlags(w, "OPTIONS INHERITED FROM PARENT COMMANDS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLE\n.nf\n%s\n.fi\n", roff(strings.Trim(cmd.Example, "\n")))
	}
	var related []string
	if cmd.HasParent() {
		related = append(related, manualName(cmd.Parent()))
	}
	for _, child := range manualChildren(cmd) {
		related = append(related, manualName(child))
	}
	if len(related) > 0 {
		fmt.Fprint(w, ".SH SEE ALSO\n")
		for i, name := range related {
			fmt.Fprintf(w, ".BR %s (%s)%s\n", roff(name), manualSection, map[bool]string{true: " ,"}[i < len(related)-1])
		}
	}
}

// manualText writes paragraphs. Lines that are indented keep their form: they are commands and tables.
func manualText(w io.Writer, text string) {
	const flowing, kept, gap = 0, 1, 2
	state := flowing
	lines := bufio.NewScanner(strings.NewReader(strings.TrimSpace(text)))
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " ")
		if line == "" {
			if state == kept {
				fmt.Fprint(w, ".fi\n")
			}
			state = gap
			continue
		}
		indented := line[0] == ' ' || line[0] == '\t'
		if state == kept && !indented {
			fmt.Fprint(w, ".fi\n")
			state = flowing
		}
		if state == gap {
			fmt.Fprint(w, ".PP\n")
			state = flowing
		}
		if indented && state == flowing {
			fmt.Fprint(w, ".nf\n")
			state = kept
		}
		fmt.Fprintln(w, roff(line))
	}
	if state == kept {
		fmt.Fprint(w, ".fi\n")
	}
}

// manualFlags writes a section of flags, unless there are none to be shown.
func manualFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		name := "\\fB" + roff("--"+f.Name) + "\\fP"
		if f.Shorthand != "" && f.ShorthandDeprecated == "" {
			name = "\\fB" + roff("-"+f.Shorthand) + "\\fP, " + name
		}
		value := "=" + f.DefValue
		if f.Value.Type() == "string" {
			value = fmt.Sprintf("=%q", f.DefValue)
		}
		if f.NoOptDefVal != "" {
			value = "[" + value + "]"
		}
		fmt.Fprintf(w, ".TP\n%s%s\n%s\n", name, roff(value), roff(f.Usage))
	})
}

// manualChildren are the commands below one that have pages.
func manualChildren(cmd *cobra.Command) []*cobra.Command {
	var children []*cobra.Command
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			children = append(children, c)
		}
	}
	return children
}

// manualName is the name of a command's page: its words joined by dashes.
func manualName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// roff writes plain text so that man prints just that: a dash stays the dash that shells know, and a line's first character
// is no request.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
