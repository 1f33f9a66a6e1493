package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/server/v3/embed"
)

// TestTranslatedKeysAreUpstreams reads upstream's source: a key that a new version adds to the two structs that only its
// reader knows must not go unnoticed.
func TestTranslatedKeysAreUpstreams(t *testing.T) {
	file, _ := runtime.FuncForPC(reflect.ValueOf(embed.ConfigFromFile).Pointer()).FileLine(0)
	source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Skipf("upstream's source is not on this machine: %v", err)
	}
	for name, ours := range map[string]reflect.Type{
		"configJSON":     reflect.TypeFor[translated](),
		"securityConfig": reflect.TypeFor[security](),
	} {
		want, got := tagsInSource(source, name), jsonNames(ours)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); len(want) == 0 || diff != "" {
			t.Errorf("keys of %s (-upstream +ours):\n%s", name, diff)
		}
	}
}

// tagsInSource lists the JSON names of a struct's fields.
func tagsInSource(source *ast.File, typeName string) []string {
	var names []string
	ast.Inspect(source, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok || spec.Name.Name != typeName {
			return true
		}
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return false
		}
		for _, field := range fields.Fields.List {
			text, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				continue
			}
			name, _, _ := strings.Cut(reflect.StructTag(text).Get("json"), ",")
			names = append(names, name)
		}
		return false
	})
	return names
}
