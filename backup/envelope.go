package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDocument is the largest document read from a store, in bytes. A manifest is some kilobytes.
const maxDocument = 32 << 20

// Errors of documents.
var (
	errDamaged = errors.New("the document does not fit its own checksum")
	errNewer   = errors.New("the document was written by a newer version of etcdops")
)

// envelope is how every document lies in a store: a change of any byte of it is noticed.
type envelope struct {
	Schema string          `json:"schema"`
	SHA256 string          `json:"sha256"` // of Schema, a newline, and the bytes of Body
	Body   json.RawMessage `json:"body"`
}

// seal makes the bytes of a document.
func seal(schema string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{Schema: schema, SHA256: checksum(schema, raw), Body: raw})
}

// checksum is of a document's schema and body.
func checksum(schema string, body []byte) string {
	sum := sha256.New()
	_, _ = sum.Write([]byte(schema + "\n"))
	_, _ = sum.Write(body)
	return hex.EncodeToString(sum.Sum(nil))
}

// unseal checks the bytes of a document and decodes its body. Fields that are not known are left alone: within a version
// of a schema, fields are only added.
func unseal(schema string, data []byte, body any) error {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	again, err := json.Marshal(e)
	if err != nil || e.SHA256 != checksum(e.Schema, e.Body) || !bytes.Equal(again, data) {
		return errDamaged
	}
	if e.Schema != schema {
		return fmt.Errorf("%w: its schema is %q, known is %q", errNewer, e.Schema, schema)
	}
	return json.Unmarshal(e.Body, body)
}

// putDocument writes a document once.
func putDocument(ctx context.Context, s Store, name, schema string, body any) error {
	data, err := seal(schema, body)
	if err != nil {
		return err
	}
	return s.Put(ctx, name, bytes.NewReader(data))
}

// readDocument reads a document back.
func readDocument(ctx context.Context, s Store, name, schema string, body any) error {
	data, err := readBytes(ctx, s, name)
	if err != nil {
		return err
	}
	return unseal(schema, data, body)
}
