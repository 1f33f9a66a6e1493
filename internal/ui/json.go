package ui

import (
	"encoding/json"
	"io"
)

// JSON writes v as one indented JSON document with a newline, without HTML escapes.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
