package azstore_test

import (
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/azstore"
	"github.com/etcdops/etcdops/backup/storetest"
)

// account is as much of the blob service as a repository needs, by its REST interface: Put Blob with If-None-Match, Get
// Blob, Delete Blob, List Blobs with pages of two.
type account struct {
	mu    sync.Mutex
	blobs map[string][]byte
}

// ServeHTTP implements http.Handler.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey acct:") {
		fail(w, http.StatusForbidden, "AuthenticationFailed")
		return
	}
	name, isBlob := strings.CutPrefix(r.URL.Path, "/backups/")
	switch content, ok := a.blobs[name]; {
	case r.URL.Query().Get("comp") == "list":
		a.list(w, r)
	case !isBlob:
		fail(w, http.StatusNotFound, "ResourceNotFound")
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
		case ok && r.Header.Get("If-None-Match") == "*":
			fail(w, http.StatusConflict, "BlobAlreadyExists")
		default:
			a.blobs[name] = body
			w.WriteHeader(http.StatusCreated)
		}
	case !ok:
		fail(w, http.StatusNotFound, "BlobNotFound")
	case r.Method == http.MethodDelete:
		delete(a.blobs, name)
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	}
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
}

func (a *account) list(w http.ResponseWriter, r *http.Request) {
	type item struct {
		Name     string
		Length   int    `xml:"Properties>Content-Length"`
		Modified string `xml:"Properties>Last-Modified"`
	}
	var page struct {
		XMLName    xml.Name `xml:"EnumerationResults"`
		Blobs      []item   `xml:"Blobs>Blob"`
		NextMarker string
	}
	var names []string
	for name := range a.blobs {
		if strings.HasPrefix(name, r.URL.Query().Get("prefix")) && name >= r.URL.Query().Get("marker") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > 2 {
		page.NextMarker, names = names[2], names[:2]
	}
	for _, name := range names {
		page.Blobs = append(page.Blobs, item{name, len(a.blobs[name]), time.Now().UTC().Format(http.TimeFormat)})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(page)
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) backup.Store {
		t.Helper()
		server := httptest.NewServer(&account{blobs: map[string][]byte{}})
		t.Cleanup(server.Close)
		t.Setenv("AZURE_STORAGE_KEY", base64.StdEncoding.EncodeToString([]byte("canary-secret")))
		u, err := url.Parse("azblob://backups/prod?account=acct&endpoint=" + url.QueryEscape(server.URL))
		if err != nil {
			t.Fatal(err)
		}
		s, err := azstore.Open(u)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestPlacesThatAreRefused(t *testing.T) {
	for _, name := range []string{"AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING"} {
		t.Setenv(name, "")
	}
	for _, place := range []string{"azblob://c", "azblob://c?account=a", "azblob:///p?account=a", "azblob://c?nothing=1"} {
		u, err := url.Parse(place)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := azstore.Open(u); err == nil {
			t.Errorf("%s was opened", place)
		}
	}
}
