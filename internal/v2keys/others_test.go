package v2keys_test

import (
	"net/url"
	"strings"
	"testing"
)

// TestOthers compares what stands beside the keys, and requests that are large or odd.
func TestOthers(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, a := range []ask{
		{method: "GET", path: ""},
		{method: "GET", path: "v2/keysfoo"},
		{method: "GET", path: "v2/nothing"},
		{method: "GET", path: "v2/members/1234"},
		{method: "DELETE", path: "v2/members/1234"},
		{method: "DELETE", path: "v2/members/none"},
		{method: "DELETE", path: "v2/members"},
		{method: "PUT", path: "v2/members/1234"},
		{method: "POST", path: "v2/members", body: "{}"},
		{method: "PATCH", path: "v2/members"},
		{method: "PUT", path: "v2/machines"},
		{method: "PUT", path: "v2/stats/store"},
		{method: "POST", path: "v2/stats/self"},
		{method: "DELETE", path: "v2/stats/leader"},
		{method: "PUT", path: "/large", form: url.Values{"value": {strings.Repeat("%&=+ ", 150_000)}}},
		{method: "GET", path: "/large"},
		{method: "GET", path: "/", query: values("recursive", "true", "sorted", "true")},
		{method: "HEAD", path: "/large"},
	} {
		b.mustEqual(t, a)
	}
}
