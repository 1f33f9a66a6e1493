package ui

import (
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// YAML writes v as one YAML document, with the keys and the values that its JSON form has.
func YAML(w io.Writer, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("write as YAML: %w", err)
	}
	_, err = w.Write(text)
	return err
}
