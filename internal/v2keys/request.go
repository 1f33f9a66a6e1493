package v2keys

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
)

const keysPrefix = "/v2/keys"

// request is a request of the keys API, read and checked.
type request struct {
	method    string
	path      string
	value     string
	dir       bool
	recursive bool
	sorted    bool
	quorum    bool
	wait      bool
	stream    bool
	since     uint64 // waitIndex; 0: from now on
	prevValue string // empty: any
	prevIndex uint64 // 0: any
	prevExist *bool
	ttl       int64 // seconds, when expires is set
	expires   time.Time
	refresh   bool
	noValue   bool // noValueOnSuccess
}

// parse reads a request. Values that are given twice count once, the body before the query, as ever.
func parse(r *http.Request, now time.Time) (*request, *v2error.Error) {
	if err := r.ParseForm(); err != nil {
		return nil, v2error.NewError(v2error.EcodeInvalidForm, err.Error(), 0)
	}
	req := &request{method: r.Method, path: cleanPath(strings.TrimPrefix(r.URL.Path, keysPrefix))}
	f := form{Values: r.Form}
	req.prevIndex = f.index("prevIndex")
	req.since = f.index("waitIndex")
	req.recursive = f.flag("recursive")
	req.sorted = f.flag("sorted")
	req.wait = f.flag("wait")
	req.dir = f.flag("dir")
	req.quorum = f.flag("quorum")
	req.stream = f.flag("stream")
	if req.wait && r.Method != http.MethodGet {
		f.fail(v2error.EcodeInvalidField, `"wait" can only be used with GET requests`)
	}
	req.prevValue = r.Form.Get("prevValue")
	if r.Form.Has("prevValue") && req.prevValue == "" {
		f.fail(v2error.EcodePrevValueRequired, `"prevValue" cannot be empty`)
	}
	req.noValue = f.flag("noValueOnSuccess")
	f.lifetime(req, now)
	if r.Form.Has("prevExist") {
		exist, err := strconv.ParseBool(r.Form.Get("prevExist"))
		if err != nil {
			f.fail(v2error.EcodeInvalidField, "invalid value for prevExist")
		}
		req.prevExist = &exist
	}
	f.refresh(req)
	req.value = r.Form.Get("value")
	return req, f.err
}

// form reads fields and keeps the first error.
type form struct {
	url.Values
	err *v2error.Error
}

func (f *form) fail(code int, cause string) {
	if f.err == nil {
		f.err = v2error.NewError(code, cause, 0)
	}
}

func (f *form) index(name string) uint64 {
	if !f.Has(name) {
		return 0
	}
	i, err := strconv.ParseUint(f.Get(name), 10, 64)
	if err != nil {
		f.fail(v2error.EcodeIndexNaN, `invalid value for "`+name+`"`)
	}
	return i
}

func (f *form) flag(name string) bool {
	if !f.Has(name) {
		return false
	}
	b, err := strconv.ParseBool(f.Get(name))
	if err != nil {
		f.fail(v2error.EcodeInvalidField, `invalid value for "`+name+`"`)
	}
	return b
}

// MaxTTL is the longest lifetime, in seconds; what is longer never expires. Leases of v3 last up to 9e9 seconds, but times
// end in 2262 when counted in nanoseconds.
const MaxTTL = 7_000_000_000

// lifetime reads ttl; an empty one is none.
func (f *form) lifetime(req *request, now time.Time) {
	text := f.Get("ttl")
	if text == "" {
		return
	}
	ttl, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		f.fail(v2error.EcodeTTLNaN, `invalid value for "ttl"`)
		return
	}
	if ttl > MaxTTL {
		return
	}
	req.ttl = int64(ttl)
	req.expires = now.Add(time.Duration(ttl) * time.Second).UTC()
}

// refresh reads refresh, which wants a new ttl and no value.
func (f *form) refresh(req *request) {
	if !f.Has("refresh") {
		return
	}
	refresh, err := strconv.ParseBool(f.Get("refresh"))
	switch {
	case err != nil:
		f.fail(v2error.EcodeInvalidField, "invalid value for refresh")
	case refresh && f.Get("value") != "":
		f.fail(v2error.EcodeRefreshValue, "A value was provided on a refresh")
	case refresh && f.Get("ttl") == "":
		f.fail(v2error.EcodeRefreshTTLRequired, "No TTL value set")
	}
	req.refresh = refresh
}
