package v2keys_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// both are the judge, etcd 3.4 with --enable-v2, and the member under test.
type both struct {
	urls    [2]string
	client  *http.Client
	indexes *indexMap
}

// start starts the two, each a cluster of one.
func start(t *testing.T) *both {
	t.Helper()
	b := &both{client: &http.Client{
		Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 200},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	old := clustertest.NewUnstarted(t, clustertest.Options{Kind: clustertest.KindEtcd34, Args: []string{"--enable-v2"}})
	ours := clustertest.NewUnstarted(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	for i, c := range []*clustertest.Cluster{old, ours} {
		c.Start(t)
		b.urls[i] = c.Members[0].ClientURL
	}
	t.Cleanup(b.client.CloseIdleConnections)
	b.indexes = &indexMap{pairs: [2]map[uint64]uint64{{0: 0}, {0: 0}}}
	return b
}

// indexMap pairs the indexes of the two: the same numbers of changes have other revisions.
type indexMap struct {
	mu    sync.Mutex
	pairs [2]map[uint64]uint64 // ours of the judge's, and back
	known [][2]uint64          // in the order of their discovery
}

// same reports whether two indexes mean the same change; unknown ones are paired if that keeps the order.
func (m *indexMap) same(old, ours uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, known := m.pairs[0][old]
	y, knownBack := m.pairs[1][ours]
	if known || knownBack {
		return known && knownBack && x == ours && y == old
	}
	if old == ours && old >= farIndex {
		return true
	}
	for _, pair := range m.known {
		if (pair[0] < old) != (pair[1] < ours) {
			return false
		}
	}
	m.pairs[0][old], m.pairs[1][ours] = ours, old
	m.known = append(m.known, [2]uint64{old, ours})
	return true
}

// farIndex begins the indexes that no test reaches: requests name them to both alike.
const farIndex = 1 << 40

// names are in-order names, which are indexes.
var names = regexp.MustCompile(`\d{20}`)

// numbers are the indexes in the cause of a failed comparison.
var numbers = regexp.MustCompile(`\b\d+\b`)

// ours translates what was learnt from the judge's answers for the other one.
func (m *indexMap) ours(text string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return names.ReplaceAllStringFunc(text, func(name string) string {
		n, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			return name
		}
		if to, ok := m.pairs[0][n]; ok {
			return fmt.Sprintf("%020d", to)
		}
		return name
	})
}

// ask is a request; indexes in its fields are the judge's.
type ask struct {
	method string
	path   string // behind /v2/keys, escaped
	query  url.Values
	body   string // replaces the fields of form if set
	form   url.Values
}

func (a ask) String() string {
	text := a.method + " " + a.path
	if len(a.query) > 0 {
		text += "?" + a.query.Encode()
	}
	if len(a.form) > 0 {
		if form := a.form.Encode(); len(form) < 300 {
			text += " -d " + form
		} else {
			text += " -d " + form[:100] + "..."
		}
	}
	if a.body != "" {
		text += " -d " + a.body
	}
	return text
}

// translate makes the request for one of the two.
func (b *both) translate(a ask, side int) ask {
	if side == 0 {
		return a
	}
	a.path = b.indexes.ours(a.path)
	a.query, a.form = b.fields(a.query), b.fields(a.form)
	return a
}

func (b *both) fields(fields url.Values) url.Values {
	out := url.Values{}
	for name, values := range fields {
		for _, value := range values {
			if name == "prevIndex" || name == "waitIndex" {
				if n, err := strconv.ParseUint(value, 10, 64); err == nil {
					b.indexes.mu.Lock()
					if to, ok := b.indexes.pairs[0][n]; ok {
						value = strconv.FormatUint(to, 10)
					}
					b.indexes.mu.Unlock()
				}
			}
			out.Add(name, value)
		}
	}
	return out
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// send sends a request to one of the two.
func (b *both) send(ctx context.Context, a ask, side int) answer {
	a = b.translate(a, side)
	body := a.body
	if body == "" {
		body = a.form.Encode()
	}
	target := b.urls[side] + "/v2/keys" + a.path
	if !strings.HasPrefix(a.path, "/") && a.path != "" {
		target = b.urls[side] + "/" + a.path // another path of the API
	}
	if len(a.query) > 0 {
		target += "?" + a.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, a.method, target, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if a.body != "" || len(a.form) > 0 {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	got := answer{status: resp.StatusCode, header: resp.Header}
	got.body, got.err = io.ReadAll(resp.Body)
	return got
}

// compare sends a request to both and returns what differs.
func (b *both) compare(ctx context.Context, a ask) []string {
	var got [2]answer
	var wg sync.WaitGroup
	for side := range got {
		wg.Go(func() { got[side] = b.send(ctx, a, side) })
	}
	wg.Wait()
	return b.differ(got)
}

// differ compares two answers.
func (b *both) differ(got [2]answer) (found []string) {
	old, ours := got[0], got[1]
	if old.err != nil || ours.err != nil {
		return []string{fmt.Sprintf("errors %v, %v", old.err, ours.err)}
	}
	if old.status != ours.status {
		found = append(found, fmt.Sprintf("status %d, %d", old.status, ours.status))
	}
	if x, y := old.header["X-Etcd-Index"], ours.header["X-Etcd-Index"]; len(x) != len(y) {
		found = append(found, fmt.Sprintf("X-Etcd-Index %v, %v", x, y))
	} else if len(x) > 0 && !b.same(x[0], y[0]) {
		found = append(found, fmt.Sprintf("X-Etcd-Index %v, %v: not the same change", x, y))
	}
	for _, name := range []string{"Content-Type", "Allow", "Location"} {
		if x, y := old.header.Get(name), ours.header.Get(name); x != y {
			found = append(found, fmt.Sprintf("%s %q, %q", name, x, y))
		}
	}
	for _, name := range []string{"X-Raft-Index", "X-Raft-Term", "X-Etcd-Cluster-Id"} {
		if x, y := old.header.Get(name), ours.header.Get(name); (x == "") != (y == "") {
			found = append(found, fmt.Sprintf("%s %q, %q", name, x, y))
		}
	}
	return append(found, b.differBodies(old.body, ours.body)...)
}

func (b *both) same(old, ours string) bool {
	x, err := strconv.ParseUint(old, 10, 64)
	y, err2 := strconv.ParseUint(ours, 10, 64)
	return err == nil && err2 == nil && b.indexes.same(x, y)
}

// differBodies compares documents, as text if they are no JSON.
func (b *both) differBodies(old, ours []byte) []string {
	var x, y any
	if decode(old, &x) != nil || decode(ours, &y) != nil {
		if !bytes.Equal(old, ours) {
			return []string{fmt.Sprintf("bodies %q, %q", old, ours)}
		}
		return nil
	}
	var found []string
	b.walk("", x, y, &found)
	if len(found) == 0 && fieldOrder(old) != fieldOrder(ours) {
		found = append(found, fmt.Sprintf("order of fields: %s, %s", old, ours))
	}
	return found
}

func decode(text []byte, into *any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// fieldOrder lists the names in a document without lists.
func fieldOrder(text []byte) string {
	if bytes.Contains(text, []byte("[")) {
		return ""
	}
	return strings.Join(regexp.MustCompile(`"(\w+)":`).FindAllString(string(text), -1), "")
}

// walk compares two values of JSON.
func (b *both) walk(at string, old, ours any, found *[]string) {
	differ := func() { *found = append(*found, fmt.Sprintf("%s: %v, %v", at, show(old), show(ours))) }
	switch x := old.(type) {
	case map[string]any:
		y, ok := ours.(map[string]any)
		if !ok {
			differ()
			return
		}
		for _, name := range keysOf(x, y) {
			b.walk(at+"."+name, x[name], y[name], found)
		}
	case []any:
		y, ok := ours.([]any)
		if !ok || len(x) != len(y) {
			differ()
			return
		}
		sortNodes(x)
		sortNodes(y)
		for i := range x {
			b.walk(fmt.Sprintf("%s[%d]", at, i), x[i], y[i], found)
		}
	default:
		if !b.equal(at, old, ours) {
			differ()
		}
	}
}

func show(v any) string {
	if v == nil {
		return "nothing"
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func keysOf(x, y map[string]any) []string {
	all := map[string]bool{}
	for name := range x {
		all[name] = true
	}
	for name := range y {
		all[name] = true
	}
	var list []string
	for name := range all {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// sortNodes brings siblings into one order; the judge's has none unless asked.
func sortNodes(list []any) {
	slices.SortFunc(list, func(a, b any) int {
		x, _ := a.(map[string]any)
		y, _ := b.(map[string]any)
		return strings.Compare(fmt.Sprint(x["key"]), fmt.Sprint(y["key"]))
	})
}

// equal compares plain values: indexes by what they mean, times by distance.
func (b *both) equal(at string, old, ours any) bool {
	field := at[strings.LastIndexByte(at, '.')+1:]
	x, y := fmt.Sprint(old), fmt.Sprint(ours)
	switch field {
	case "modifiedIndex", "createdIndex", "index":
		return old != nil && ours != nil && b.same(x, y)
	case "ttl":
		p, err := strconv.Atoi(x)
		q, err2 := strconv.Atoi(y)
		return err == nil && err2 == nil && p-q <= 1 && q-p <= 1
	case "expiration":
		p, err := time.Parse(time.RFC3339Nano, x)
		q, err2 := time.Parse(time.RFC3339Nano, y)
		return err == nil && err2 == nil && p.Sub(q).Abs() < 2*time.Second
	case "key":
		return b.equalNumbers(x, y, names)
	case "cause":
		return b.equalNumbers(x, y, numbers)
	}
	return x == y && (old == nil) == (ours == nil)
}

// equalNumbers compares texts in which some numbers are indexes.
func (b *both) equalNumbers(x, y string, pattern *regexp.Regexp) bool {
	p, q := pattern.FindAllString(x, -1), pattern.FindAllString(y, -1)
	if len(p) != len(q) || pattern.ReplaceAllString(x, "#") != pattern.ReplaceAllString(y, "#") {
		return false
	}
	for i := range p {
		if !b.same(p[i], q[i]) {
			return false
		}
	}
	return true
}

// mustEqual fails the test when the two answer differently.
func (b *both) mustEqual(t *testing.T, a ask) {
	t.Helper()
	if found := b.compare(t.Context(), a); len(found) > 0 {
		t.Errorf("%s:\n  %s", a, strings.Join(found, "\n  "))
	}
}

// sendWait sends a request that waits, and tells when the header has come.
func (b *both) sendWait(ctx context.Context, a ask, side int, begun chan<- struct{}, each func([]byte)) answer {
	a = b.translate(a, side)
	req, err := http.NewRequestWithContext(ctx, a.method, b.urls[side]+"/v2/keys"+a.path+"?"+a.query.Encode(), nil)
	if err != nil {
		begun <- struct{}{}
		return answer{err: err}
	}
	resp, err := b.client.Do(req)
	begun <- struct{}{}
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	got := answer{status: resp.StatusCode, header: resp.Header}
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			each(line)
		}
		if err != nil {
			return got
		}
	}
}

// TestComparison breaks what the comparison guards: each change of an answer must be seen.
func TestComparison(t *testing.T) {
	t.Parallel()
	const body = `{"action":"set","node":{"key":"/q/00000000000000000007","value":"x","expiration":"2030-01-01T00:00:00Z","ttl":5,` +
		`"modifiedIndex":7,"createdIndex":7}}`
	for name, change := range map[string][2]string{
		"action": {`"set"`, `"create"`}, "value": {`"x"`, `"y"`}, "field": {`"value":"x",`, ``}, "ttl": {`:5`, `:7`},
		"time": {`2030-01-01T00:00:00`, `2030-01-01T00:00:02`}, "created": {`createdIndex":7`, `createdIndex":6`},
		"name": {`00007`, `00008`}, "order": {`"modifiedIndex":7,"createdIndex":7`, `"createdIndex":7,"modifiedIndex":7`},
	} {
		b := &both{indexes: &indexMap{pairs: [2]map[uint64]uint64{{0: 0}, {0: 0}}}}
		b.indexes.same(6, 6)
		b.indexes.same(7, 7)
		if found := b.differBodies([]byte(body), []byte(body)); len(found) > 0 {
			t.Fatalf("differences without any: %v", found)
		}
		if found := b.differBodies([]byte(body), []byte(strings.Replace(body, change[0], change[1], 1))); len(found) == 0 {
			t.Errorf("%s: not seen", name)
		}
	}
}
