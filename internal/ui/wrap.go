package ui

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// MaxColumns is how wide a report may be.
const MaxColumns = 100

// Columns returns how many terminal cells a text takes.
func Columns(text string) int { return displaywidth.String(text) }

// Wrap breaks text between words so that no line takes more than columns cells; a word that fits into no line is cut.
// Lines after the first start with indent blanks. used is how many cells of the first line are taken already.
func Wrap(text string, used, columns, indent int) string {
	var b strings.Builder
	at, fresh := used, true // fresh: nothing but the indent stands in the line
	for word := range strings.FieldsSeq(text) {
		for _, piece := range pieces(word, columns-indent) {
			width := Columns(piece)
			switch {
			case !fresh && at+1+width <= columns:
				b.WriteByte(' ')
				at++
			case !fresh || at+width > columns && at > indent:
				b.WriteByte('\n')
				b.WriteString(strings.Repeat(" ", indent))
				at = indent
			}
			b.WriteString(piece)
			at, fresh = at+width, false
		}
	}
	return b.String()
}

// pieces cuts a word that takes more than columns cells.
func pieces(word string, columns int) []string {
	var out []string
	for columns > 0 && Columns(word) > columns {
		head := displaywidth.TruncateString(word, columns, "")
		if head == "" {
			break
		}
		out, word = append(out, head), word[len(head):]
	}
	return append(out, word)
}

// Shorten cuts the middle out of a text that takes more than columns cells: names that differ at their end only stay
// apart.
func Shorten(text string, columns int) string {
	const mark = "…"
	if columns < 3 || Columns(text) <= columns {
		return text
	}
	room := columns - 1
	head := displaywidth.TruncateString(text, room-room/2, "")
	left := Columns(text)
	for g := displaywidth.StringGraphemes(text); left > room/2 && g.Next(); {
		text = text[len(g.Value()):]
		left -= g.Width()
	}
	return head + mark + text
}
