package registry

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"
)

func testPolicy(t *testing.T, c Config, host string) *policy {
	t.Helper()
	p, err := newPolicy(c, host)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.0.0.1:80": true, "127.9.9.9:1": true,
		"[::1]": true, "[::1]:5000": true, "::1": true,
		"localhost.example": false, "127.0.0.1.example:80": false, "0.0.0.0:80": false, "10.0.0.1": false,
		"2130706433": false, "0x7f000001": false, "127.1": false, "[::]:80": false, "": false, "sub.localhost": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestTrusts(t *testing.T) {
	p := testPolicy(t, Config{}.withDefaults(), "registry.example")
	if err := p.allowRealm("https://auth.example:8443/token"); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{
		"https://registry.example/v2/":      true,
		"https://registry.example:443/v2/":  true,
		"https://REGISTRY.example/v2/":      true,
		"https://auth.example:8443/token":   true,
		"https://auth.example/token":        false,
		"https://registry.example:444/v2/":  false,
		"https://sub.registry.example/v2/":  false,
		"https://registry.example.evil/v2/": false,
		"https://cdn.example/blob":          false,
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.trusts(u); got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
}

func TestAllowRealm(t *testing.T) {
	for realm, want := range map[string]bool{
		"https://auth.docker.io/token": true,
		"http://127.0.0.1:5001/token":  true,
		"http://auth.example/token":    false,
		"http://10.0.0.1/token":        false,
		"file:///etc/passwd":           false,
		"//auth.example/token":         false,
		"":                             false,
		"https://":                     false,
		"http://[::1":                  false,
	} {
		p := testPolicy(t, Config{}.withDefaults(), "registry.example")
		if err := p.allowRealm(realm); (err == nil) != want {
			t.Errorf("%q: %v", realm, err)
		}
	}
}

func TestPlainHTTPRefused(t *testing.T) {
	req, err := http.NewRequest(http.MethodGet, "http://registry.invalid/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testPolicy(t, Config{}.withDefaults(), "registry.invalid").RoundTrip(req); err == nil {
		t.Error("plain http left this machine")
	}
}

func TestCheckRedirect(t *testing.T) {
	p := testPolicy(t, Config{}.withDefaults(), "registry.example")
	request := func(u string) *http.Request {
		req, err := http.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	https, plain := request("https://registry.example/"), request("http://cdn.example/")
	if err := p.checkRedirect(plain, []*http.Request{https}); err == nil {
		t.Error("https may become http")
	}
	if err := p.checkRedirect(https, []*http.Request{https}); err != nil {
		t.Error(err)
	}
	if err := p.checkRedirect(https, make([]*http.Request, maxRedirects)); err == nil {
		t.Error("redirects have no end")
	}
}

func TestBackoff(t *testing.T) {
	p := testPolicy(t, Config{RetryDelay: time.Second}.withDefaults(), "registry.example")
	for attempt, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second} {
		for range 100 {
			if d := p.backoff(attempt, nil); d < most/2 || d > most {
				t.Errorf("attempt %d waits %v", attempt, d)
			}
		}
	}
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "100000": maxWait} {
		resp := &http.Response{Header: http.Header{"Retry-After": {header}}}
		if d := p.backoff(1, resp); d != want {
			t.Errorf("Retry-After %s waits %v", header, d)
		}
	}
}

func TestReason(t *testing.T) {
	host := "registry.example"
	err := explain(host, &url.Error{Op: "Get", URL: "https://registry.example/v2/?secret=1", Err: errors.New("broke")})
	if got := err.Error(); got != "registry registry.example: broke" {
		t.Errorf("%q", got)
	}
}
