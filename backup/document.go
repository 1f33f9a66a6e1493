package backup

import "context"

// PutDocument writes a document of a package beside this one once, with its own checksum.
func PutDocument(ctx context.Context, s Store, name, schema string, body any) error {
	return putDocument(ctx, s, name, schema, body)
}

// ReadDocument reads back what PutDocument wrote. Any changed byte of it is an error.
func ReadDocument(ctx context.Context, s Store, name, schema string, body any) error {
	return readDocument(ctx, s, name, schema, body)
}

// IsDamaged says whether an error of ReadDocument is about the document and not about the store: it was changed, or is of a
// later version.
func IsDamaged(err error) bool { return documentError(err) }
