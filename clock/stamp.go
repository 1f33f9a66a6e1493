package clock

import (
	"encoding/json"
	"net/http"
	"time"
)

// StampSchema names the JSON form of Stamp.
const StampSchema = "etcdops.clock_stamp/v1"

// Stamp is the answer of Handler.
type Stamp struct {
	Schema   string    `json:"schema"`
	MemberID string    `json:"member_id"`
	Received time.Time `json:"received"` // the wall clock once the request had been read
	Sent     time.Time `json:"sent"`     // and just before the answer was written
	Kernel   *Kernel   `json:"kernel"`   // null where the system does not tell
}

// Handler tells the time of this process's machine: one clock reading and one system call a request. member returns the
// member's ID in hexadecimal, empty while it is not known.
func Handler(member func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received := time.Now()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		answer := Stamp{Schema: StampSchema, MemberID: member(), Received: received.UTC(), Kernel: LocalKernel()}
		answer.Sent = time.Now().UTC()
		_ = json.NewEncoder(w).Encode(answer) // a reader who has gone needs no answer
	})
}
