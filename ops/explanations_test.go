package ops_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/ops"
)

// TestExplanations wants every code of the package explained once, and nothing else.
func TestExplanations(t *testing.T) {
	t.Parallel()
	declared := declaredCodes(t, "codes.go")
	for _, e := range ops.Explanations() {
		if !declared[ops.Code(e.Code)] {
			t.Errorf("%s is explained twice, or is no code", e.Code)
		}
		delete(declared, ops.Code(e.Code))
		if e.Title == "" || e.Cause == "" || e.Danger == "" || len(e.Fix) == 0 {
			t.Errorf("%s is explained in part only", e.Code)
		}
		if strings.HasSuffix(e.Title, ".") || strings.ToLower(e.Title[:1]) != e.Title[:1] {
			t.Errorf("%s: the title %q is no phrase", e.Code, e.Title)
		}
	}
	for code := range declared {
		t.Errorf("%s is not explained", code)
	}
}

// declaredCodes reads the constants of type Code out of the source.
func declaredCodes(t *testing.T, file string) map[ops.Code]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[ops.Code]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if codes[ops.Code(text)] {
				t.Errorf("two constants share the code %s", text)
			}
			codes[ops.Code(text)] = true
		}
		return true
	})
	if len(codes) == 0 {
		t.Fatal("no codes found in " + file)
	}
	return codes
}
