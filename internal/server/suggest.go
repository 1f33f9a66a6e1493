package server

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.etcd.io/etcd/server/v3/features"

	"github.com/etcdops/etcdops/internal/suggest"
)

// formerFlag says what became of a flag that older versions of etcd had.
func formerFlag(name string, names []string) string {
	switch name {
	case "enable-v2":
		return "etcd 3.6 removed it; --enable-v2-keys serves /v2/keys again, from the v3 store"
	case "discovery", "discovery-proxy", "proxy":
		return "etcd 3.6 removed --" + name
	}
	former, experimental := strings.CutPrefix(name, "experimental-")
	if !experimental {
		return ""
	}
	if slices.Contains(names, former) {
		return "it is --" + former + " now"
	}
	former = strings.TrimSuffix(strings.TrimPrefix(former, "enable-"), "-enabled")
	for gate := range features.DefaultEtcdServerFeatureGates {
		if kebab(string(gate)) == former {
			return fmt.Sprintf("it is --feature-gates=%s=true now", gate)
		}
	}
	return ""
}

// kebab writes a CamelCase name with hyphens.
func kebab(camel string) string {
	var b strings.Builder
	for i, r := range camel {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// unknownKeys tells of keys of a settings file that nothing reads; upstream ignores them in silence.
func unknownKeys(path string, keys map[string]any) []string {
	notes := unread(path, "", keys, append(jsonNames(reflect.TypeFor[fileSettings]()), additionsSection))
	for _, section := range []string{"client-transport-security", "peer-transport-security"} {
		if inner, ok := keys[section].(map[string]any); ok {
			notes = append(notes, unread(path, section+": ", inner, jsonNames(reflect.TypeFor[security]()))...)
		}
	}
	return notes
}

// unread compares as the parser does, without regard to case.
func unread(path, section string, keys map[string]any, known []string) []string {
	var notes []string
	for key := range keys {
		if slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, key) }) {
			continue
		}
		note := fmt.Sprintf("%s: nothing reads %s%s", path, section, key)
		if near := suggest.Nearest(key, known); near != "" {
			note += " (did you mean " + near + "?)"
		}
		notes = append(notes, note)
	}
	slices.Sort(notes)
	return notes
}

// jsonNames lists the keys that a struct is read from.
func jsonNames(t reflect.Type) []string {
	var names []string
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous || !field.IsExported() || name == "-":
		case name == "":
			names = append(names, field.Name)
		default:
			names = append(names, name)
		}
	}
	return names
}
