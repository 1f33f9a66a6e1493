// Package azstore keeps a repository in a container of Azure's blob storage.
package azstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/etcdops/etcdops/backup"
)

// maxObject is the largest blob put, in bytes: what one request may carry.
const maxObject = 5000 << 20

// Store is a prefix of a container. It implements backup.Store.
type Store struct {
	client *container.Client
	prefix string // with a slash at its end, or empty
	text   string
}

// Open prepares the store that a URL names; no request is sent.
//
//	azblob://CONTAINER/PREFIX?account=NAME&endpoint=URL
//
// endpoint is for clouds other than the public one, and emulators. Credentials come from AZURE_STORAGE_CONNECTION_STRING,
// AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_KEY; the account from AZURE_STORAGE_ACCOUNT if the URL has none.
func Open(u *url.URL) (*Store, error) {
	q := u.Query()
	for name := range q {
		if name != "account" && name != "endpoint" {
			return nil, fmt.Errorf("there is no parameter %q: account, endpoint", name)
		}
	}
	if u.Host == "" {
		return nil, errors.New("no container is named: azblob://CONTAINER/PREFIX")
	}
	client, err := newClient(u.Host, q.Get("account"), q.Get("endpoint"))
	if err != nil {
		return nil, err
	}
	prefix, err := backup.PrefixOf(u)
	if err != nil {
		return nil, err
	}
	return &Store{client: client, prefix: prefix, text: u.String()}, nil
}

// newClient finds account and credentials.
func newClient(name, account, endpoint string) (*container.Client, error) {
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		return container.NewClientFromConnectionString(text, name, nil)
	}
	if account == "" {
		account = os.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if account == "" {
		return nil, errors.New("no account is named: azblob://CONTAINER/PREFIX?account=NAME, or AZURE_STORAGE_ACCOUNT")
	}
	if endpoint == "" {
		endpoint = "https://" + account + ".blob.core.windows.net"
	}
	place := strings.TrimSuffix(endpoint, "/") + "/" + name
	if sas := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); sas != "" {
		return container.NewClientWithNoCredential(place+"?"+strings.TrimPrefix(sas, "?"), nil)
	}
	key := os.Getenv("AZURE_STORAGE_KEY")
	if key == "" {
		return nil, errors.New("no credentials: set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_KEY")
	}
	credential, err := container.NewSharedKeyCredential(account, key)
	if err != nil {
		return nil, errors.New("AZURE_STORAGE_KEY is no key: it is written in base64")
	}
	return container.NewClientWithSharedKeyCredential(place, credential, nil)
}

// String implements backup.Store.
func (s *Store) String() string { return s.text }

// Put implements backup.Store.
func (s *Store) Put(ctx context.Context, name string, body backup.Body) error {
	if err := backup.CheckName(name); err != nil {
		return err
	}
	if body.Size() > maxObject {
		return fmt.Errorf("%s: %d bytes are more than one request may carry", name, body.Size())
	}
	if err := backup.CheckBody(body); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err := s.client.NewBlockBlobClient(s.prefix+name).Upload(ctx, nopCloser{io.NewSectionReader(body, 0, body.Size())}, &blockblob.UploadOptions{
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}},
	})
	if bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.BlobImmutableDueToPolicy) {
		// A request that was repeated because its answer was lost meets the blob that it made.
		if same, readErr := backup.SameContent(ctx, s, name, body); readErr != nil || same {
			return readErr
		}
		return fmt.Errorf("%s: %w", name, backup.ErrExist)
	}
	return err
}

// nopCloser makes a section a body for the client, which rewinds it to repeat a request.
type nopCloser struct{ *io.SectionReader }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// Open implements backup.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := backup.CheckName(name); err != nil {
		return nil, err
	}
	response, err := s.client.NewBlobClient(s.prefix+name).DownloadStream(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, fmt.Errorf("%s: %w", name, backup.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return response.NewRetryReader(ctx, nil), nil
}

// List implements backup.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]backup.Object, error) {
	var out []backup.Object
	pages := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: new(s.prefix + prefix)})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Segment.BlobItems {
			name := strings.TrimPrefix(*item.Name, s.prefix)
			if item.Properties == nil || item.Properties.ContentLength == nil || backup.CheckName(name) != nil {
				continue
			}
			o := backup.Object{Name: name, Size: *item.Properties.ContentLength}
			if item.Properties.LastModified != nil {
				o.Modified = *item.Properties.LastModified
			}
			out = append(out, o)
		}
	}
	return out, nil
}

// Delete implements backup.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := backup.CheckName(name); err != nil {
		return err
	}
	_, err := s.client.NewBlobClient(s.prefix+name).Delete(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return err
}

// Sweep implements backup.Store. A blob is put in one request: there is nothing to sweep.
func (s *Store) Sweep(context.Context, time.Time) (int, error) { return 0, nil }
