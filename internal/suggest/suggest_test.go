package suggest_test

import (
	"testing"

	"github.com/etcdops/etcdops/internal/suggest"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"endpoints", "cacert", "cert", "trusted-ca-file", "ETO-1030", "ETO-1003"}
	for text, want := range map[string]string{
		"endpoint": "endpoints", "endpionts": "endpoints", "ca-cert": "cacert", "ETO-103": "ETO-1003", "CACERT": "cacert", "trusted-ca": "trusted-ca-file",
		"xyzzy": "", "x": "", "": "",
	} {
		if got := suggest.Nearest(text, words); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if words[0] != "endpoints" {
		t.Error("the caller's words were reordered")
	}
}
