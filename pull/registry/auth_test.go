package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tokenServer gives tokens, and writes down what it was asked.
type tokenServer struct {
	mu      sync.Mutex
	asked   []url.Values // query or form
	methods []string
	deny    func(url.Values) int // a status, or 0
	answer  string
	valid   string // the token that the registry takes
}

func (s *tokenServer) serve(h *host) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case r.URL.Path == "/token":
			_ = r.ParseForm()
			s.asked, s.methods = append(s.asked, r.Form), append(s.methods, r.Method)
			if s.deny != nil {
				if status := s.deny(r.Form); status != 0 {
					w.WriteHeader(status)
					return
				}
			}
			fmt.Fprint(w, s.answer)
		case r.Header.Get("Authorization") != "Bearer "+s.valid:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s"`, h.URL))
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPost && r.URL.Query().Has("mount"):
			w.WriteHeader(http.StatusCreated)
		default:
			fmt.Fprint(w, `{"schemaVersion":2}`)
		}
	}
}

func dialTokens(t *testing.T, s *tokenServer, edit func(*Config)) (*Client, error) {
	t.Helper()
	h := newHost(t, "127.0.0.1:0")
	h.serve = s.serve(h)
	if s.answer == "" {
		s.answer, s.valid = `{"token":"first","expires_in":300}`, "first"
	}
	c := Config{Host: h.Listener.Addr().String(), Repository: "some/image", Login: canaryLogin(), RetryDelay: time.Millisecond}
	edit(&c)
	client, err := Dial(t.Context(), c)
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

func TestScopes(t *testing.T) {
	s := &tokenServer{}
	client, err := dialTokens(t, s, func(c *Config) {
		c.Push = true
		c.MountFrom = func(string) []string { return []string{"base/image"} }
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Manifest(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	if len(s.asked) != 1 || !slices.Equal(s.asked[0]["scope"], []string{"repository:some/image:pull,push"}) ||
		s.asked[0].Get("service") != "s" || s.asked[0].Get("account") != canaryUser {
		t.Errorf("asked %v", s.asked)
	}
	if from, err := client.PutOrMount(t.Context(), descriptorOf("x"), nil); err != nil || from != "base/image" {
		t.Errorf("%q, %v", from, err)
	}
	last := s.asked[len(s.asked)-1]["scope"]
	if !slices.Equal(last, []string{"repository:some/image:pull,push", "repository:base/image:pull"}) {
		t.Errorf("asked %q", last)
	}
}

// TestScopesRefused has a token server that gives all or nothing.
func TestScopesRefused(t *testing.T) {
	s := &tokenServer{deny: func(q url.Values) int {
		if len(q["scope"]) > 1 {
			return http.StatusForbidden
		}
		return 0
	}}
	client, err := dialTokens(t, s, func(c *Config) { c.MountFrom = func(string) []string { return []string{"base/image"} } })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutOrMount(t.Context(), descriptorOf("x"), nil); err != nil {
		t.Error(err)
	}
}

func TestPullAsksForPullAlone(t *testing.T) {
	s := &tokenServer{}
	if _, err := dialTokens(t, s, func(c *Config) { c.Login = Login{} }); err != nil {
		t.Fatal(err)
	}
	if got := s.asked[0]; !slices.Equal(got["scope"], []string{"repository:some/image:pull"}) || got.Has("account") {
		t.Errorf("asked %v", got)
	}
}

func TestOAuth(t *testing.T) {
	s := &tokenServer{answer: `{"access_token":"first","refresh_token":"canary-second-refresh","expires_in":300}`, valid: "first"}
	client, err := dialTokens(t, s, func(c *Config) { c.Login = Login{IdentityToken: canaryIdentity} })
	if err != nil {
		t.Fatal(err)
	}
	first := s.asked[0]
	if s.methods[0] != http.MethodPost || first.Get("grant_type") != "refresh_token" || first.Get("refresh_token") != canaryIdentity ||
		first.Get("scope") != "repository:some/image:pull" || first.Get("service") != "s" {
		t.Errorf("%s %v", s.methods[0], first)
	}
	// The next token is asked for with the refresh token that came.
	s.mu.Lock()
	s.answer, s.valid = `{"access_token":"other","expires_in":300}`, "other"
	s.mu.Unlock()
	if _, _, err := client.Manifest(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	if got := s.asked[len(s.asked)-1].Get("refresh_token"); got != "canary-second-refresh" {
		t.Errorf("asked with %q", got)
	}
}

// TestOAuthUnknown has a token server that knows the older way only.
func TestOAuthUnknown(t *testing.T) {
	s := &tokenServer{deny: func(q url.Values) int {
		if q.Has("grant_type") {
			return http.StatusNotFound
		}
		return 0
	}}
	if _, err := dialTokens(t, s, func(c *Config) { c.Login.IdentityToken = canaryIdentity }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.methods, []string{http.MethodPost, http.MethodGet}) {
		t.Errorf("asked by %q", s.methods)
	}
}

func TestTokenServerSaysNo(t *testing.T) {
	s := &tokenServer{deny: func(url.Values) int { return http.StatusUnauthorized }}
	_, err := dialTokens(t, s, func(*Config) {})
	if err == nil || !strings.Contains(err.Error(), "token server 127.0.0.1") || !strings.Contains(err.Error(), "401") {
		t.Errorf("error %v", err)
	}
	if len(s.asked) != 1 {
		t.Errorf("asked %d times", len(s.asked))
	}
}

// TestWithheld says that a login was not shown, where that may be why it failed.
func TestWithheld(t *testing.T) {
	w := newWorld(t)
	w.other.serve = func(out http.ResponseWriter, r *http.Request) { out.WriteHeader(http.StatusUnauthorized) }
	w.asking(fmt.Sprintf(`Bearer realm="%s/token"`, w.other.URL), nil)
	_, err := Dial(t.Context(), w.config)
	if err == nil || !strings.Contains(err.Error(), "was not shown the login") {
		t.Errorf("error %v", err)
	}
}

func TestLifetime(t *testing.T) {
	for seconds, want := range map[int]time.Duration{0: 50 * time.Second, -5: 50 * time.Second, 300: 290 * time.Second, 1 << 40: (24*3600 - 10) * time.Second} {
		if got := lifetime(seconds); got != want {
			t.Errorf("%d: %v", seconds, got)
		}
	}
}

func TestLists(t *testing.T) {
	h := newHost(t, "127.0.0.1:0")
	pages := map[string]string{"": "a", "a": "b", "b": "c", "c": "c"} // the last page names itself
	h.serve = func(w http.ResponseWriter, r *http.Request) {
		last := r.URL.Query().Get("last")
		switch r.URL.Path {
		case "/v2/some/image/tags/list", "/v2/_catalog":
			next := pages[last]
			w.Header().Set("Link", fmt.Sprintf(`<%s?last=%s>; rel="next"`, r.URL.Path, next))
			fmt.Fprintf(w, `{"tags":[%q],"repositories":["r/%s"]}`, next, next)
		case "/v1/search":
			fmt.Fprintf(w, `{"results":[{"name":%q,"star_count":3,"is_official":true},{"name":"second"}]}`, r.URL.Query().Get("q"))
		}
	}
	client, err := Dial(t.Context(), Config{Host: h.Listener.Addr().String(), Repository: "some/image"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for most, want := range map[int]string{100: "[a b c c]", 2: "[a b]", 0: "[]"} {
		if tags, err := client.Tags(t.Context(), most); err != nil || fmt.Sprint(tags) != want {
			t.Errorf("at most %d: %v, %v", most, tags, err)
		}
	}
	names, err := client.Catalog(t.Context(), func(name string) bool { return name == "r/b" }, 10)
	if err != nil || fmt.Sprint(names) != "[r/b]" {
		t.Errorf("%v, %v", names, err)
	}
	found, err := client.Search(t.Context(), "a b&c", 1)
	if err != nil || len(found) != 1 || found[0] != (Found{Name: "a b&c", Stars: 3, Official: true}) {
		t.Errorf("%+v, %v", found, err)
	}
	for _, body := range []string{`{"tags":"x"}`, `[`, strings.Repeat("x", maxList+1)} {
		h.serve = func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) }
		if tags, err := client.Tags(t.Context(), 10); err == nil {
			t.Errorf("%.10s: %v", body, tags)
		}
	}
}
