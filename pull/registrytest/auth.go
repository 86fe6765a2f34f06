package registrytest

import (
	"fmt"
	"net/http"
)

// bearer begins the tokens that a registry with RequireToken knows, one at a
// time.
const bearer = "token-for-pull"

// RequireBasic lets only this user read.
func (r *Registry) RequireBasic(user, password string) {
	r.setGate(func(w http.ResponseWriter, req *http.Request) bool {
		if u, p, ok := req.BasicAuth(); ok && u == user && p == password {
			return true
		}
		deny(w, `Basic realm="test"`)
		return false
	})
}

// ForgetTokens has a registry with RequireToken know no token that it has given.
func (r *Registry) ForgetTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens++
}

// token is the only one that is known now.
func (r *Registry) token() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%s-%d", bearer, r.tokens)
}

// RequireToken lets only who has a token read, and gives tokens to this user
// under /token; an empty user stands for everybody. realm is empty for that,
// or another URL to send clients to.
func (r *Registry) RequireToken(user, password, realm string) {
	if realm == "" {
		realm = r.Server.URL + "/token"
	}
	r.setGate(func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/token" {
			u, p, _ := req.BasicAuth()
			if user != "" && (u != user || p != password) {
				deny(w, "")
				return false
			}
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, r.token())
			return false
		}
		if req.Header.Get("Authorization") == "Bearer "+r.token() {
			return true
		}
		deny(w, fmt.Sprintf(`Bearer realm=%q,service="test"`, realm))
		return false
	})
}

// RedirectBlobs answers requests for blobs with a redirect to base and their
// path, as registries do that keep blobs in an object store.
func (r *Registry) RedirectBlobs(base string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobsAt = base
}

func (r *Registry) setGate(gate func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = gate
}

func deny(w http.ResponseWriter, challenge string) {
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}
