// Package stores opens the store that a URL names.
package stores

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/azstore"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/backup/s3store"
	"github.com/etcdops/etcdops/ops"
)

// Open opens the store at a place: a directory, file:///DIRECTORY, s3://BUCKET/PREFIX or azblob://CONTAINER/PREFIX. A
// directory that is missing is made when create is set. Close the store after use. The error is a *ops.HintError.
func Open(place string, create bool) (backup.Store, func(), error) {
	nothing := func() {}
	scheme, _, isURL := strings.Cut(place, "://")
	if !isURL {
		return openDir(place, create)
	}
	u, err := url.Parse(place)
	if err != nil {
		return nil, nothing, badPlace("", errors.New("it is no URL")) // which may hold secrets
	}
	if u.User != nil {
		return nil, nothing, badPlace("", errors.New("credentials do not belong into the URL: use the environment or the usual files"))
	}
	switch scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return nil, nothing, badPlace(place, errors.New("a file URL has three slashes: file:///DIRECTORY"))
		}
		return openDir(u.Path, create)
	case "s3":
		s, err := s3store.Open(u)
		if err != nil {
			return nil, nothing, badPlace(place, err)
		}
		return s, nothing, nil
	case "azblob":
		s, err := azstore.Open(u)
		if err != nil {
			return nil, nothing, badPlace(place, err)
		}
		return s, nothing, nil
	}
	return nil, nothing, badPlace(place, fmt.Errorf("nothing is known of %s://", scheme))
}

func openDir(path string, create bool) (backup.Store, func(), error) {
	open := dirstore.Open
	if create {
		open = dirstore.Create
	}
	s, err := open(path)
	if err != nil {
		hint := &ops.HintError{Code: backup.CodeStore, Op: "open backup repository", Member: path, Err: err, Hint: "check the path and its permissions"}
		if errors.Is(err, fs.ErrNotExist) {
			hint.Code, hint.Err = backup.CodeNoRepository, errors.New("there is no such directory")
			hint.Hint = "check --repo; the first backup makes a repository: etcdops backup create"
		}
		return nil, func() {}, hint
	}
	return s, func() { _ = s.Close() }, nil
}

func badPlace(place string, err error) error {
	return &ops.HintError{
		Code: backup.CodeBadPlace, Class: ops.ClassUsage, Op: "read --repo", Member: place, Err: err,
		Hint: "a directory, s3://BUCKET/PREFIX?endpoint=HOST, or azblob://CONTAINER/PREFIX",
	}
}
