package cmd

import (
	"encoding"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/etcdops/etcdops/health"
)

// HealthSchema writes the JSON Schema (draft 2020-12) of the documents of etcdops health, for docs/health.schema.json.
// It is made of the types that are written.
func HealthSchema(w io.Writer) error {
	defs := map[string]any{}
	alternatives := []any{}
	for _, s := range schemas() {
		switch s.value.(type) {
		case health.Report, healthListJSON, health.Facts:
		default:
			continue
		}
		body := structSchema(reflect.TypeOf(s.value), defs)
		body["properties"].(map[string]any)["schema"] = map[string]any{"const": s.name}
		alternatives = append(alternatives, body)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", " ")
	out.SetEscapeHTML(false)
	return out.Encode(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "What etcdops health writes with -w json, and with --record",
		"oneOf":   alternatives, "$defs": defs,
	})
}

// structSchema describes a structure; the structures inside it go to defs under their Go names.
func structSchema(t reflect.Type, defs map[string]any) map[string]any {
	properties, required := map[string]any{}, []string{}
	addFields(t, properties, &required, defs)
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func addFields(t reflect.Type, properties map[string]any, required *[]string, defs map[string]any) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			addFields(f.Type, properties, required, defs)
			continue
		case name == "-" || !f.IsExported():
			continue
		}
		properties[name] = typeSchema(f.Type, defs)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			*required = append(*required, name)
		}
	}
}

// typeSchema describes any type that is written.
func typeSchema(t reflect.Type, defs map[string]any) any {
	marshaler := reflect.TypeFor[encoding.TextMarshaler]()
	switch {
	case t.Kind() == reflect.Pointer:
		return map[string]any{"anyOf": []any{typeSchema(t.Elem(), defs), map[string]any{"type": "null"}}}
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[health.Severity]():
		return map[string]any{"enum": []string{"ok", "info", "unknown", "warning", "critical"}}
	case t == reflect.TypeFor[health.Depth]():
		return map[string]any{"enum": []string{"fast", "normal", "deep"}}
	case t.Implements(marshaler), reflect.PointerTo(t).Implements(marshaler):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": typeSchema(t.Elem(), defs)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(t.Elem(), defs)}
	case reflect.Struct:
		name := t.Name()
		if _, known := defs[name]; !known {
			defs[name] = true // a structure that holds itself finds its name here
			defs[name] = structSchema(t, defs)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	default:
		return map[string]any{"type": "integer"}
	}
}
