package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// partBytes is the size of all parts but the last.
const partBytes = 16 << 20

// compression names the compression in manifests.
const (
	compressionZstd = "zstd"
	encryptionAge   = "age"
)

// encoded is the stored form of a file: compressed, encrypted, and cut.
type encoded struct {
	file   *spool
	stored Sum
	parts  []Part
}

// encode compresses and encrypts r into a spool, and hashes what comes out part by part.
func encode(ctx context.Context, r io.Reader, e Encryption, out *spool) (encoded, error) {
	cut := &partWriter{out: out, all: sha256.New(), part: sha256.New()}
	var target io.Writer = cut
	var sealed io.WriteCloser
	if e.Enabled() {
		var err error
		if sealed, err = age.Encrypt(cut, e.recipients...); err != nil {
			return encoded{}, err
		}
		target = sealed
	}
	z, err := zstd.NewWriter(target, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return encoded{}, err
	}
	_, err = io.CopyBuffer(contextWriter{ctx, z}, onlyReader{r}, make([]byte, 1<<20))
	closeErr := z.Close()
	if sealed != nil {
		closeErr = errors.Join(closeErr, sealed.Close())
	}
	if err == nil {
		err = closeErr // after another error it is that one, or what came of it
	}
	if err != nil {
		return encoded{}, err
	}
	cut.endPart()
	return encoded{
		file: out, parts: cut.parts,
		stored: Sum{Size: cut.size, SHA256: hex.EncodeToString(cut.all.Sum(nil))},
	}, nil
}

// onlyReader hides a reader's other methods from io.Copy.
type onlyReader struct{ io.Reader }

// partWriter writes through and hashes the whole and each part.
type partWriter struct {
	out       io.Writer
	all, part hash.Hash
	size      int64
	inPart    int64
	parts     []Part
}

// Write implements io.Writer.
func (w *partWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	for p := p[:n]; len(p) > 0; {
		piece := p[:min(int64(len(p)), partBytes-w.inPart)]
		_, _ = w.all.Write(piece)
		_, _ = w.part.Write(piece)
		w.size += int64(len(piece))
		w.inPart += int64(len(piece))
		if w.inPart == partBytes {
			w.endPart()
		}
		p = p[len(piece):]
	}
	return n, err
}

// endPart closes a part that is not empty.
func (w *partWriter) endPart() {
	if w.inPart == 0 {
		return
	}
	w.parts = append(w.parts, Part{
		Name: partName(len(w.parts)), Sum: Sum{Size: w.inPart, SHA256: hex.EncodeToString(w.part.Sum(nil))},
	})
	w.part.Reset()
	w.inPart = 0
}
