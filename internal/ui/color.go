package ui

// Color is the foreground colour of a word.
type Color string

// The colours that reports use.
const (
	ColorNone   Color = ""
	ColorRed    Color = "31"
	ColorGreen  Color = "32"
	ColorYellow Color = "33"
)

// Paint colours text where the output may be coloured.
func (s *Streams) Paint(c Color, text string) string {
	if !s.Color || c == ColorNone {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
