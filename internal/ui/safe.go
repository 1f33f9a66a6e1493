package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe makes text from elsewhere fit for a terminal: control characters, escape sequences, bidirectional overrides and
// invalid UTF-8 become visible escapes. Newlines and tabs stay.
func Safe(text string) string {
	clean := true
	for _, r := range text {
		if unsafeRune(r) {
			clean = false
			break
		}
	}
	if clean && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteString(escapeByte(text[i]))
		case unsafeRune(r):
			b.WriteString(escapeRune(r))
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// unsafeRune reports whether r moves the cursor, hides text or changes its direction (format characters, category Cf).
func unsafeRune(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

const hexDigits = "0123456789abcdef"

func escapeByte(c byte) string { return `\x` + string(hexDigits[c>>4]) + string(hexDigits[c&15]) }

func escapeRune(r rune) string {
	if r < utf8.RuneSelf {
		return escapeByte(byte(r))
	}
	out := []byte{'\\', 'U'}
	for shift := 28; shift >= 0; shift -= 4 {
		out = append(out, hexDigits[r>>shift&15])
	}
	return string(out)
}
