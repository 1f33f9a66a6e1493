package v2keys_test

import (
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
)

// generator makes random requests over a small alphabet, so that they meet.
type generator struct {
	*rand.Rand
	both *both
}

// pick chooses one of some words.
func (g *generator) pick(words ...string) string { return words[g.IntN(len(words))] }

// path is a random one: short, often known, sometimes hidden, sometimes odd.
func (g *generator) path() string {
	if g.IntN(40) == 0 {
		return g.pick("/", "", "/a/", "/%C3%A4", "/a%20b", "/a%2Fb", "/x%00y", "/a/%25")
	}
	depth := 1 + g.IntN(3)
	var b strings.Builder
	for range depth {
		b.WriteString("/" + g.pick("a", "b", "c", "ab", "a-b", "_h", "q"))
	}
	if g.IntN(10) == 0 {
		if name, ok := g.index(); ok {
			return b.String() + "/" + pad(name)
		}
	}
	return b.String()
}

func pad(n uint64) string {
	text := strconv.FormatUint(n, 10)
	return strings.Repeat("0", 20-len(text)) + text
}

// index is one that both know, more often a late one.
func (g *generator) index() (uint64, bool) {
	m := g.both.indexes
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) == 0 {
		return 0, false
	}
	back := min(g.IntN(20), g.IntN(len(m.known)))
	return m.known[len(m.known)-1-back][0], true
}

func (g *generator) someIndex() string {
	if g.IntN(12) == 0 {
		return g.pick("0", "x", "-1", "", strconv.Itoa(farIndex+7), "18446744073709551616")
	}
	n, _ := g.index()
	return strconv.FormatUint(n, 10)
}

func (g *generator) flag() string {
	if g.IntN(25) == 0 {
		return g.pick("", "maybe", "1", "0", "T", "FALSE")
	}
	return g.pick("true", "true", "false")
}

func (g *generator) value() string {
	switch g.IntN(40) {
	case 0:
		return ""
	case 1:
		return "<&>\"\\\u00e4\u2028\xff\x00"
	case 2:
		return strings.Repeat("long ", 20_000)
	}
	return g.pick("v", "w", "x", "y")
}

// maybe sets a field once in n times.
func (g *generator) maybe(v url.Values, n int, name string, value func() string) {
	if g.IntN(n) == 0 {
		v.Set(name, value())
	}
}

// request is a random one of all kinds.
func (g *generator) request() ask {
	switch n := g.IntN(100); {
	case n < 45:
		return g.put()
	case n < 55:
		return g.post()
	case n < 70:
		return g.delete()
	case n < 97:
		return g.get()
	}
	return g.odd()
}

func (g *generator) put() ask {
	f := url.Values{}
	if g.IntN(10) > 0 {
		f.Set("value", g.value())
	}
	g.maybe(f, 6, "prevValue", g.value)
	g.maybe(f, 6, "prevIndex", g.someIndex)
	g.maybe(f, 4, "prevExist", g.flag)
	g.maybe(f, 8, "dir", g.flag)
	g.maybe(f, 6, "ttl", g.ttl)
	g.maybe(f, 10, "refresh", g.flag)
	g.maybe(f, 12, "noValueOnSuccess", g.flag)
	if f.Has("refresh") && g.IntN(2) == 0 {
		f.Del("value")
		f.Set("ttl", "600")
	}
	return g.split(ask{method: "PUT", path: g.path(), form: f})
}

func (g *generator) ttl() string {
	return g.pick("600", "700", "4000000", "", "x", "-5", "1.5", "18446744073709551616")
}

// split moves fields to the query at random.
func (g *generator) split(a ask) ask {
	a.query = url.Values{}
	for name, value := range a.form {
		if g.IntN(3) == 0 && len(value[0]) < 100 {
			a.query[name] = value
			delete(a.form, name)
		}
	}
	return a
}

func (g *generator) post() ask {
	f := url.Values{"value": {g.value()}}
	g.maybe(f, 8, "dir", g.flag)
	g.maybe(f, 8, "ttl", g.ttl)
	g.maybe(f, 12, "noValueOnSuccess", g.flag)
	p := g.path()
	if g.IntN(2) == 0 {
		p = "/q"
	}
	return g.split(ask{method: "POST", path: p, form: f})
}

func (g *generator) delete() ask {
	q := url.Values{}
	g.maybe(q, 3, "recursive", g.flag)
	g.maybe(q, 3, "dir", g.flag)
	g.maybe(q, 4, "prevValue", g.value)
	g.maybe(q, 4, "prevIndex", g.someIndex)
	g.maybe(q, 10, "prevExist", g.flag)
	a := ask{method: "DELETE", path: g.path(), query: q}
	if len(q.Get("prevValue")) > 100 {
		q.Del("prevValue")
	}
	return a
}

func (g *generator) get() ask {
	q := url.Values{}
	g.maybe(q, 3, "recursive", g.flag)
	g.maybe(q, 4, "sorted", g.flag)
	g.maybe(q, 4, "quorum", g.flag)
	if q.Get("quorum") == "true" {
		g.maybe(q, 4, "wait", func() string { return "true" }) // no waiting then
	}
	g.maybe(q, 20, "waitIndex", g.someIndex)
	g.maybe(q, 30, "prevIndex", g.someIndex)
	p := g.path()
	if g.IntN(8) == 0 {
		p = "/"
	}
	return ask{method: g.pick("GET", "GET", "GET", "HEAD"), path: p, query: q}
}

// odd is a request that is wrong in itself.
func (g *generator) odd() ask {
	switch g.IntN(6) {
	case 0:
		return ask{method: g.pick("PATCH", "TRACE", "FOO"), path: g.path()}
	case 1:
		return ask{method: "PUT", path: g.path(), body: g.pick("value=%zz", "value=a;dir=true", "%", "value")}
	case 2:
		return ask{method: g.pick("PUT", "HEAD", "DELETE"), path: g.path(), query: url.Values{"wait": {"true"}}}
	case 3:
		return ask{method: "PUT", path: g.path(), form: url.Values{"refresh": {"true"}, "value": {"v"}, "ttl": {"600"}}}
	case 4:
		return ask{method: "PUT", path: g.path(), form: url.Values{"refresh": {"true"}}}
	}
	return ask{method: "PUT", path: g.path(), form: url.Values{"value": {"v", "w"}}, query: url.Values{"value": {"x"}}}
}

// wait is a request that waits; what it waits for may have happened already.
func (g *generator) wait(int) ask {
	q := url.Values{"wait": {"true"}}
	g.maybe(q, 2, "recursive", func() string { return "true" })
	g.maybe(q, 4, "stream", func() string { return "true" })
	g.maybe(q, 4, "waitIndex", func() string {
		n, _ := g.index()
		return strconv.FormatUint(n, 10)
	})
	p := g.path()
	if g.IntN(6) == 0 {
		p = "/"
	}
	return ask{method: "GET", path: p, query: q}
}
