package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// Errors of stores, to be found with errors.Is.
var (
	// ErrNotExist says that there is no object of that name.
	ErrNotExist = errors.New("no such object")
	// ErrExist says that there is an object of that name already; it was left as it is.
	ErrExist = errors.New("the object exists already")
)

// Store holds the objects of a repository. Objects are immutable: they are put once, whole, and deleted. All methods are
// safe for concurrent use, also by several processes. The contract is tested by package storetest.
type Store interface {
	// Put creates an object. It exists, whole and durable, when Put returns nil, and is never seen in part. When there
	// is one of that name already, the error is ErrExist and nothing changes; where it has the very same content, the
	// error may be nil, because a request that was repeated cannot be told from another's. After another error the object
	// may exist.
	Put(ctx context.Context, name string, body Body) error
	// Open reads an object from its beginning. The error is ErrNotExist when there is none. ctx bounds the reading too.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the objects whose names begin with prefix, in the order of their names.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete removes an object. That there is none is no error.
	Delete(ctx context.Context, name string) error
	// Sweep removes what interrupted Puts have left behind and nobody has touched since before; it returns how much
	// there was. Objects are not touched.
	Sweep(ctx context.Context, before time.Time) (int, error)
	// String is the place as its user wrote it, without secrets.
	String() string
}

// Body is the content of an object. It can be read again, because uploads are repeated: *bytes.Reader and
// *io.SectionReader are bodies.
type Body interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	Size() int64
}

// Object is one entry of a store's list.
type Object struct {
	Name     string
	Size     int64     // bytes
	Modified time.Time // by the store's clock
}

// maxNameBytes is the longest name of an object: S3 allows 1,024 bytes with the prefix of the repository.
const maxNameBytes = 512

// PrefixOf is what begins the names of all objects of a repository: the path of its URL, and a slash.
func PrefixOf(u *url.URL) (string, error) {
	prefix := strings.Trim(u.Path, "/")
	if prefix == "" {
		return "", nil
	}
	if err := CheckName(prefix); err != nil {
		return "", fmt.Errorf("prefix: %w", err)
	}
	return prefix + "/", nil
}

// CheckName refuses names that some store could not keep or would take for another: names are segments of letters,
// digits, dots, dashes and underscores, joined by slashes, and no segment begins with a dot.
func CheckName(name string) error {
	if name == "" || len(name) > maxNameBytes {
		return fmt.Errorf("object name of %d bytes", len(name))
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '.' || strings.ContainsFunc(segment, notInName) {
			return fmt.Errorf("object name %q", name)
		}
	}
	return nil
}

func notInName(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		return false
	}
	return true
}

// CheckBody makes sure that a body is as long as it says, for stores that announce its size.
func CheckBody(body Body) error {
	if body.Size() == 0 {
		return nil
	}
	var last [1]byte
	if _, err := body.ReadAt(last[:], body.Size()-1); err != nil {
		return fmt.Errorf("the body is shorter than its size: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// SameContent says whether an object has just the content of a body: a request that was repeated because its answer was
// lost meets the object that it made.
func SameContent(ctx context.Context, s Store, name string, body Body) (bool, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer func() { _ = r.Close() }()
	ended := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
	want, got := make([]byte, 64<<10), make([]byte, 64<<10)
	section := io.NewSectionReader(body, 0, body.Size())
	for {
		n, wantErr := io.ReadFull(section, want)
		m, gotErr := io.ReadFull(r, got)
		if n != m || string(want[:n]) != string(got[:m]) {
			return false, nil
		}
		if wantErr != nil || gotErr != nil {
			return ended(wantErr) && ended(gotErr), nil
		}
	}
}
