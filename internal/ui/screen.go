package ui

import "strings"

// Redraw returns what puts text in the place of all that a terminal shows, without an empty moment between.
func Redraw(text string) string {
	const home, restOfLine, restOfScreen = "\x1b[H", "\x1b[K\n", "\x1b[J"
	return home + strings.ReplaceAll(text, "\n", restOfLine) + restOfScreen
}

// Sparkline draws values as bars of eight heights between lo and hi; nil leaves a gap.
func Sparkline(values []*float64, lo, hi float64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		switch {
		case v == nil:
			b.WriteByte(' ')
		case hi <= lo:
			b.WriteRune(bars[0])
		default:
			at := int((*v - lo) / (hi - lo) * float64(len(bars)))
			b.WriteRune(bars[min(max(at, 0), len(bars)-1)])
		}
	}
	return b.String()
}
