package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/etcdops/etcdops/ops"
)

// partError says that a part is not what was written.
type partError struct {
	object string
	err    error
}

func (e partError) Error() string { return e.object + ": " + e.err.Error() }

func (e partError) Unwrap() error { return e.err }

// partsReader reads the parts of a backup one after the other and checks each against the manifest.
type partsReader struct {
	ctx   context.Context // of the one reading
	store Store
	m     *Manifest
	next  int
	now   io.ReadCloser
	sum   hash.Hash
	left  int64
	name  string
}

// Read implements io.Reader.
func (r *partsReader) Read(p []byte) (int, error) {
	for r.now == nil {
		if r.next == len(r.m.Parts) {
			return 0, io.EOF
		}
		if err := r.open(r.m.Parts[r.next]); err != nil {
			return 0, err
		}
	}
	n, err := r.now.Read(p)
	_, _ = r.sum.Write(p[:n])
	r.left -= int64(n)
	switch {
	case r.left < 0:
		return 0, partError{r.name, errors.New("it is longer than it was")}
	case errors.Is(err, io.EOF):
		return n, r.end()
	case err != nil:
		return n, partError{r.name, err}
	}
	return n, nil
}

func (r *partsReader) open(part Part) error {
	r.name = r.m.Dir() + part.Name
	body, err := r.store.Open(r.ctx, r.name)
	if err != nil {
		return partError{r.name, err}
	}
	r.now, r.sum, r.left = body, sha256.New(), part.Size
	return nil
}

// end checks the part that was read.
func (r *partsReader) end() error {
	err := r.now.Close()
	part := r.m.Parts[r.next]
	r.now = nil
	r.next++
	switch {
	case err != nil:
		return partError{r.name, err}
	case r.left > 0:
		return partError{r.name, fmt.Errorf("%w: %d bytes are missing at its end", errContent, r.left)}
	case hex.EncodeToString(r.sum.Sum(nil)) != part.SHA256:
		return partError{r.name, fmt.Errorf("%w: its SHA-256 is another", errContent)}
	}
	return nil
}

// Close ends the reading.
func (r *partsReader) Close() error {
	if r.now == nil {
		return nil
	}
	return r.now.Close()
}

var (
	errContent = errors.New("it was changed")
	errPlain   = errors.New("the database does not have the hash of the one that was saved")
)

// plainReader gives the database of a backup back.
type plainReader struct {
	parts *partsReader
	z     *zstd.Decoder
	sum   hash.Hash
	size  int64
	want  Sum
}

// openPlain opens the database in a backup. A key that does not fit is told here, before anything is read. The reader's
// last Read checks the hash.
func (r *Repository) openPlain(ctx context.Context, m *Manifest, ids Identities) (*plainReader, error) {
	parts := &partsReader{ctx: ctx, store: r.store, m: m}
	var source io.Reader = parts
	switch m.Encryption {
	case "":
	case encryptionAge:
		opened, err := openSealed(parts, m, ids)
		if err != nil {
			return nil, errors.Join(r.readError(m, err), parts.Close())
		}
		source = opened
	default:
		return nil, &ops.HintError{
			Code: CodeNewerFormat, Class: ops.ClassRefused, Op: "read backup", Member: m.ID.Short(),
			Err: fmt.Errorf("its encryption %q is not known", m.Encryption), Hint: "use a later version of etcdops",
		}
	}
	z, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, errors.Join(err, parts.Close())
	}
	return &plainReader{parts: parts, z: z, sum: sha256.New(), want: m.Plain}, nil
}

// openSealed opens the encryption.
func openSealed(parts io.Reader, m *Manifest, ids Identities) (io.Reader, error) {
	if len(ids.list) == 0 {
		return nil, wrongKey(m, errors.New("it is encrypted and no key was given"))
	}
	opened, err := age.Decrypt(parts, ids.list...)
	if noMatch, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		_ = noMatch // its text lists every identity tried
		return nil, wrongKey(m, errors.New("the key given does not open it"))
	}
	return opened, err
}

func wrongKey(m *Manifest, err error) error {
	flag := "--identity FILE"
	if len(m.Recipients) == 1 && m.Recipients[0] == passphraseName {
		flag = "--passphrase-file FILE"
	}
	return &ops.HintError{
		Code: CodeWrongKey, Class: ops.ClassRefused, Op: "open backup", Member: m.ID.Short(), Err: err,
		Hint: fmt.Sprintf("%s; it is encrypted for %v", flag, m.Recipients),
	}
}

// Read implements io.Reader.
func (r *plainReader) Read(p []byte) (int, error) {
	n, err := r.z.Read(p)
	_, _ = r.sum.Write(p[:n])
	r.size += int64(n)
	if r.size > r.want.Size {
		return 0, errPlain
	}
	if errors.Is(err, io.EOF) && (r.size != r.want.Size || hex.EncodeToString(r.sum.Sum(nil)) != r.want.SHA256) {
		return n, errPlain
	}
	return n, err
}

// Close ends the reading.
func (r *plainReader) Close() error {
	r.z.Close()
	return r.parts.Close()
}

// readError explains why a backup could not be read. Decoders stumble over damage before its part is at its end: the parts
// are then looked at one by one, so that the error names the object.
func (r *Repository) readError(m *Manifest, err error) error {
	if err == nil || ops.CodeOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	member := m.ID.Short()
	if part, ok := errors.AsType[partError](err); ok {
		if !errors.Is(err, errContent) && !errors.Is(err, ErrNotExist) {
			return storeError("read backup "+member, r.store, err)
		}
		member, err = part.object, part.err
	}
	return &ops.HintError{
		Code: CodeDamaged, Op: "read backup", Member: member, Err: err,
		Hint: "etcdops backup list shows others; etcdops backup verify finds all damage",
	}
}
