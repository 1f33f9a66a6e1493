// Package s3store keeps a repository in a bucket of any object store that speaks S3: AWS, MinIO, Ceph, Google's
// interoperability interface.
//
// Every object is one PUT with "If-None-Match: *" and a checksum of its content. There are no multipart uploads, so none
// can be left unfinished and billed for ever.
package s3store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/etcdops/etcdops/backup"
)

// maxObject is the largest object put, in bytes: what one PUT may carry.
const maxObject = 5 << 30

// Store is a prefix of a bucket. It implements backup.Store.
type Store struct {
	client  *minio.Client
	uploads *minio.Client // repeats nothing by itself
	bucket  string
	prefix  string // with a slash at its end, or empty
	text    string
}

// Open prepares the store that a URL names; no request is sent.
//
//	s3://BUCKET/PREFIX?endpoint=HOST:PORT&region=REGION&ca=FILE&insecure=true
//
// Without endpoint it is AWS. insecure speaks plain HTTP. Credentials come from AWS_ or MINIO_ variables, ~/.aws/credentials
// (AWS_PROFILE), or the machine's role.
func Open(u *url.URL) (*Store, error) {
	q := u.Query()
	for name := range q {
		switch name {
		case "endpoint", "region", "ca", "insecure":
		default:
			return nil, fmt.Errorf("there is no parameter %q: endpoint, region, ca, insecure", name)
		}
	}
	insecure := false
	if text := q.Get("insecure"); text != "" {
		var err error
		if insecure, err = strconv.ParseBool(text); err != nil {
			return nil, errors.New("insecure is true or false")
		}
	}
	if u.Host == "" {
		return nil, errors.New("no bucket is named: s3://BUCKET/PREFIX")
	}
	endpoint := q.Get("endpoint")
	if endpoint == "" {
		endpoint = "s3.amazonaws.com"
	}
	transport, err := newTransport(!insecure, q.Get("ca"))
	if err != nil {
		return nil, err
	}
	options := minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure: !insecure, Region: q.Get("region"), Transport: transport, TrailingHeaders: !insecure,
	}
	client, err := minio.New(endpoint, &options)
	if err != nil {
		return nil, err
	}
	options.MaxRetries = 1 // see put
	uploads, err := minio.New(endpoint, &options)
	if err != nil {
		return nil, err
	}
	prefix, err := backup.PrefixOf(u)
	if err != nil {
		return nil, err
	}
	return &Store{client: client, uploads: uploads, bucket: u.Host, prefix: prefix, text: u.String()}, nil
}

// newTransport trusts the authorities in a file besides the system's.
func newTransport(secure bool, caFile string) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil || caFile == "" {
		return t, err
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// String implements backup.Store.
func (s *Store) String() string { return s.text }

// Put implements backup.Store.
func (s *Store) Put(ctx context.Context, name string, body backup.Body) error {
	if err := backup.CheckName(name); err != nil {
		return err
	}
	if body.Size() > maxObject {
		return fmt.Errorf("%s: %d bytes are more than one PUT may carry", name, body.Size())
	}
	// A look first, for servers that pass over the condition of the PUT.
	switch _, err := s.client.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{}); {
	case err == nil:
		return fmt.Errorf("%s: %w", name, backup.ErrExist)
	case !missing(err):
		return err
	}
	if err := backup.CheckBody(body); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true, SendContentMd5: true}
	opts.SetMatchETagExcept("*")
	err := s.put(ctx, name, body, opts)
	if taken(err) {
		// A request that was repeated because its answer was lost meets the object that it made.
		if same, readErr := backup.SameContent(ctx, s, name, body); readErr != nil || same {
			return readErr
		}
		return fmt.Errorf("%s: %w", name, backup.ErrExist)
	}
	return err
}

// A PUT is tried so often, with longer and longer pauses between.
const (
	putTries   = 8
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// put repeats a PUT that failed for a reason that may pass. The client's own repetition rewinds the very reader that the
// transport may still be sending from.
func (s *Store) put(ctx context.Context, name string, body backup.Body, opts minio.PutObjectOptions) error {
	for try, pause := 1, firstPause; ; try, pause = try+1, min(2*pause, lastPause) {
		_, err := s.uploads.PutObject(ctx, s.bucket, s.prefix+name, io.NewSectionReader(body, 0, body.Size()), body.Size(), opts)
		if err == nil || try == putTries || !passes(err) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// passes reports whether the same request may succeed later: the connection broke, or the server is busy.
func passes(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	status := minio.ToErrorResponse(err).StatusCode
	return status == 0 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// Open implements backup.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := backup.CheckName(name); err != nil {
		return nil, err
	}
	object, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err == nil {
		_, err = object.Stat() // the request is sent with the first use only
	}
	if missing(err) {
		return nil, fmt.Errorf("%s: %w", name, backup.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return object, nil
}

// List implements backup.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]backup.Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out []backup.Object
	for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if name := strings.TrimPrefix(o.Key, s.prefix); backup.CheckName(name) == nil {
			out = append(out, backup.Object{Name: name, Size: o.Size, Modified: o.LastModified})
		}
	}
	return out, ctx.Err()
}

// Delete implements backup.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := backup.CheckName(name); err != nil {
		return err
	}
	err := s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
	if missing(err) {
		return nil
	}
	return err
}

// Sweep implements backup.Store. A PUT is done or not: there is nothing to sweep.
func (s *Store) Sweep(context.Context, time.Time) (int, error) { return 0, nil }

// missing says whether an object is not there. A bucket that is not there is another thing.
func missing(err error) bool {
	return err != nil && minio.ToErrorResponse(err).Code == minio.NoSuchKey
}

// taken says whether the condition of a PUT failed.
func taken(err error) bool {
	if err == nil {
		return false
	}
	response := minio.ToErrorResponse(err)
	return response.StatusCode == http.StatusPreconditionFailed || response.Code == "PreconditionFailed"
}
