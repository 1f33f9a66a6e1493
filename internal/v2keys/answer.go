package v2keys

import (
	"net/http"
	"time"
)

// answerBytes is what is collected before an answer begins to be sent. Until then an error can still be answered.
const answerBytes = 64 << 10

// answer is a document that is sent while it is made.
type answer struct {
	response http.ResponseWriter
	header   func(index uint64) // sets the header for what is shown at an index

	index uint64
	text  []byte
	sent  bool // something is on its way, and cannot be taken back
}

// begin starts the document, again if nothing was sent yet.
func (a *answer) begin(index uint64) { a.index, a.text = index, a.text[:0] }

// Write adds to the document.
func (a *answer) Write(text []byte) (int, error) {
	a.text = append(a.text, text...)
	if len(a.text) < answerBytes {
		return len(text), nil
	}
	return len(text), a.flush()
}

// WriteString adds to the document.
func (a *answer) WriteString(text string) (int, error) {
	a.text = append(a.text, text...)
	if len(a.text) < answerBytes {
		return len(text), nil
	}
	return len(text), a.flush()
}

// flush sends what was collected. A client that does not take it in time is cut off.
func (a *answer) flush() error {
	if !a.sent {
		a.header(a.index)
		a.sent = true
	}
	_ = http.NewResponseController(a.response).SetWriteDeadline(time.Now().Add(transferLimit)) // some connections have none
	_, err := a.response.Write(a.text)
	a.text = a.text[:0]
	return err
}
