package registry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDownload(t *testing.T) {
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "elsewhere")
	}))
	defer elsewhere.Close()
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			_, _ = io.WriteString(w, "content of "+r.Header.Get("Authorization"))
		case "/away":
			http.Redirect(w, r, elsewhere.URL+"/x", http.StatusFound)
		case "/private":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case "/ring":
			http.Redirect(w, r, "/ring", http.StatusFound)
		case "/tired":
			if tries++; tries < 3 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	withUser := strings.Replace(server.URL, "//", "//me:hidden@", 1)
	for _, c := range []struct{ url, want, err string }{
		{server.URL + "/file", "content of ", ""},
		{withUser + "/file", "content of Basic bWU6aGlkZGVu", ""},
		{withUser + "/away", "elsewhere", ""},
		{server.URL + "/tired", "", ""},
		{server.URL + "/private", "", "refused"},
		{server.URL + "/ring", "", "more than 10 redirects"},
		{server.URL + "/none", "", "the server answered 404 Not Found"},
		{server.URL + "/cut", "half", "unexpected EOF"},
		{"http://127.0.0.1:1/x", "", "server 127.0.0.1:1: dial tcp"},
		{strings.Replace(server.URL, "http:", "https:", 1) + "/file", "", "server 127.0.0.1:"},
		{"ftp://example.com/x", "", "no http or https URL"},
		{"http:///x", "", "no http or https URL"},
	} {
		got, err := "", error(nil)
		body, err := Download(context.Background(), c.url, Proxy{})
		if err == nil {
			var text []byte
			text, err = io.ReadAll(body)
			got = string(text)
			body.Close()
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, not %q", c.url, err, c.err)
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.url, got, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the password is in %q", c.url, err)
		}
	}
	if len(seen) != 1 || seen[0] != "" {
		t.Errorf("the other host has seen %q", seen)
	}
}
