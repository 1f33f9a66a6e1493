package v2keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
)

const membersPrefix = "/v2/members"

// memberJSON is a member as the old API shows it.
type memberJSON struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`   //nolint:tagliatelle // the old API's name
	ClientURLs []string `json:"clientURLs"` //nolint:tagliatelle // the old API's name
}

func asMember(m *membership.Member) memberJSON {
	return memberJSON{
		ID: m.ID.String(), Name: m.Name,
		PeerURLs: append([]string{}, m.PeerURLs...), ClientURLs: append([]string{}, m.ClientURLs...),
	}
}

// anyone asks for a user that is known, no more.
func (u *user) anyone() error { return nil }

// allowed finds out who asks and whether that may; if not, it has answered.
func (s *service) allowed(w http.ResponseWriter, r *http.Request, may func(*user) error) bool {
	ctx, cancel := context.WithTimeout(r.Context(), s.member.Cfg.ReqTimeout())
	defer cancel()
	who, err := s.access.login(ctx, r)
	if err == nil {
		err = may(who)
	}
	if err != nil {
		writeMessage(w, http.StatusUnauthorized, "Insufficient credentials")
	}
	return err == nil
}

// machines serves /v2/machines.
func (s *service) machines(w http.ResponseWriter, r *http.Request) {
	if s.allowed(w, r, (*user).anyone) {
		_, _ = io.WriteString(w, strings.Join(s.member.Cluster().ClientURLs(), ", ")) // the client has gone
	}
}

// members serves /v2/members. Changes pass the member's own checks, as those of v3 do.
func (s *service) members(w http.ResponseWriter, r *http.Request) {
	may := (*user).admin
	if r.Method == http.MethodGet {
		may = (*user).anyone
	}
	if !s.allowed(w, r, may) {
		return
	}
	w.Header().Set("X-Etcd-Cluster-Id", s.member.Cluster().ID().String())
	ctx, cancel := context.WithTimeout(r.Context(), s.member.Cfg.ReqTimeout())
	defer cancel()
	ctx = s.store.root.with(ctx)
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, membersPrefix), "/")
	switch r.Method {
	case http.MethodGet:
		s.showMembers(w, name)
	case http.MethodPost:
		s.addMember(ctx, w, r)
	default:
		s.changeMember(ctx, w, r, name)
	}
}

func (s *service) showMembers(w http.ResponseWriter, name string) {
	switch name {
	case "":
		list := []memberJSON{}
		for _, m := range s.member.Cluster().Members() {
			list = append(list, asMember(m))
		}
		writeJSON(w, http.StatusOK, map[string][]memberJSON{"members": list})
	case "leader":
		leader := s.member.Cluster().Member(s.member.Leader())
		if leader == nil {
			writeMessage(w, http.StatusServiceUnavailable, "During election")
			return
		}
		writeJSON(w, http.StatusOK, asMember(leader))
	default:
		writeMessage(w, http.StatusNotFound, "Not found")
	}
}

func (s *service) addMember(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	urls, ok := peerURLs(w, r)
	if !ok {
		return
	}
	now := time.Now()
	m := membership.NewMember("", urls, "", &now)
	if _, err := s.member.AddMember(ctx, *m); err != nil {
		writeMemberError(w, err, "")
		return
	}
	writeJSON(w, http.StatusCreated, asMember(m))
}

// changeMember removes a member or gives it other peer URLs.
func (s *service) changeMember(ctx context.Context, w http.ResponseWriter, r *http.Request, name string) {
	if name == "" {
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	id, err := types.IDFromString(name)
	if err != nil {
		writeMessage(w, http.StatusNotFound, "No such member: "+name)
		return
	}
	if r.Method == http.MethodDelete {
		_, err = s.member.RemoveMember(ctx, uint64(id))
	} else {
		urls, ok := peerURLs(w, r)
		if !ok {
			return
		}
		_, err = s.member.UpdateMember(ctx, membership.Member{
			ID: id, RaftAttributes: membership.RaftAttributes{PeerURLs: urls.StringSlice()},
		})
	}
	if err != nil {
		writeMemberError(w, err, id.String())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// maxMemberBody is more than any list of URLs needs.
const maxMemberBody = 1 << 20

// peerURLs reads the URLs out of a request; if it cannot, it has answered.
func peerURLs(w http.ResponseWriter, r *http.Request) (types.URLs, bool) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.TrimSpace(strings.ToLower(kind)) != "application/json" {
		writeMessage(w, http.StatusUnsupportedMediaType, fmt.Sprintf("Bad Content-Type %s, accept application/json", kind))
		return nil, false
	}
	var body struct {
		PeerURLs []string `json:"peerURLs"` //nolint:tagliatelle // the old API's name
	}
	received := receiving(w)
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMemberBody))
	if err == nil {
		received()
		err = json.Unmarshal(text, &body)
	}
	var urls types.URLs
	if err == nil {
		urls, err = types.NewURLs(body.PeerURLs)
	}
	if err != nil {
		writeMessage(w, http.StatusBadRequest, err.Error())
		return nil, false
	}
	return urls, true
}

func writeMemberError(w http.ResponseWriter, err error, id string) {
	switch {
	case errors.Is(err, membership.ErrIDExists), errors.Is(err, membership.ErrPeerURLexists):
		writeMessage(w, http.StatusConflict, err.Error())
	case errors.Is(err, membership.ErrIDRemoved):
		writeMessage(w, http.StatusGone, "Member permanently removed: "+id)
	case errors.Is(err, membership.ErrIDNotFound):
		writeMessage(w, http.StatusNotFound, "No such member: "+id)
	default:
		writeMessage(w, http.StatusInternalServerError, err.Error())
	}
}

// writeMessage answers as the old API does where no key is concerned.
func writeMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, _ := json.Marshal(map[string]string{"message": message}) // one word
	_, _ = w.Write(text)                                           // the client has gone
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}
