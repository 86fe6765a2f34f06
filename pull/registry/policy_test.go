package registry

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
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
	p.trustRealm("auth.example:8443")
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

func TestRealmOf(t *testing.T) {
	const refused, anonymous, shown = 0, 1, 2
	cases := []struct {
		registry, realm string
		want            int
	}{
		{"registry-1.docker.io", "https://auth.docker.io/token", shown},
		{"dhi.io", "https://auth.docker.io/token", shown},
		{"registry.hub.docker.com", "https://auth.docker.io/token", shown},
		{"registry.gitlab.example", "https://gitlab.example/jwt/auth", shown},
		{"registry.corp.co.uk:5000", "https://login.corp.co.uk/", shown},
		{"registry.corp.co.uk", "https://login.evil.co.uk/", anonymous},
		{"a.azurecr.io", "https://a.azurecr.io/oauth2/token", shown},
		{"mine.github.io", "https://yours.github.io/token", anonymous},
		{"registry.example", "https://REGISTRY.example:8443/token", shown},
		{"registry.example", "https://registry.example.evil/token", anonymous},
		{"registry.example", "https://auth.docker.io/token", anonymous},
		{"registry.example", "https://registry.example@evil.test/token", anonymous},
		{"registry.example", "https://known.test/token", shown},
		{"10.0.0.1:5000", "https://10.0.0.2/token", anonymous},
		{"10.0.0.1:5000", "https://10.0.0.1/token", shown},
		{"127.0.0.1:5000", "http://127.0.0.1:5001/token", shown},
		{"registry.example", "http://127.0.0.1:5001/token", anonymous},
		{"registry.example", "http://registry.example/token", refused},
		{"registry.example", "http://10.0.0.1/token", refused},
		{"registry.example", "file:///etc/passwd", refused},
		{"registry.example", "//auth.example/token", refused},
		{"registry.example", "javascript:alert(1)", refused},
		{"registry.example", "", refused},
		{"registry.example", "https://", refused},
		{"registry.example", "http://[::1", refused},
	}
	config := Config{TokenServers: []string{"known.test"}}
	for _, c := range cases {
		found, err := config.realmOf(challenge{params: map[string]string{"realm": c.realm}}, c.registry)
		got := refused
		switch {
		case err == nil && found.trusted:
			got = shown
		case err == nil:
			got = anonymous
		}
		if got != c.want {
			t.Errorf("%s of %s: %d, want %d (%v)", c.realm, c.registry, got, c.want, err)
		}
		if err == nil && found.url.User != nil {
			t.Errorf("%s has a user", c.realm)
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
	request := func(u string) *http.Request {
		req, err := http.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	https, plain := request("https://registry.example/"), request("http://cdn.example/")
	if err := checkRedirect(plain, []*http.Request{https}); err == nil {
		t.Error("https may become http")
	}
	if err := checkRedirect(https, []*http.Request{https}); err != nil {
		t.Error(err)
	}
	if err := checkRedirect(https, make([]*http.Request, maxRedirects)); err == nil {
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
	if d := p.backoff(30, nil); d > maxDelay {
		t.Errorf("attempt 30 waits %v", d)
	}
	now := time.Now().UTC()
	for _, c := range []struct {
		after, date string
		least, most time.Duration
	}{
		{"7", "", 7 * time.Second, 7 * time.Second},
		{"100000", "", 100000 * time.Second, 100000 * time.Second},
		{now.Add(time.Minute).Format(http.TimeFormat), "", 58 * time.Second, time.Minute},
		// A clock that is a year off, theirs or ours, says nothing wrong.
		{"Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30 * time.Second, 30 * time.Second},
		{"Wed, 21 Oct 2015 07:28:30 GMT", "", 0, time.Second},
		{"soon", "", 0, time.Second},
		{"-5", "", 0, time.Second},
	} {
		resp := &http.Response{Header: http.Header{"Retry-After": {c.after}, "Date": {c.date}}}
		if d := p.backoff(1, resp); d < c.least || d > c.most {
			t.Errorf("Retry-After %q waits %v", c.after, d)
		}
	}
}

func TestExplain(t *testing.T) {
	p := testPolicy(t, Config{Host: "registry.example", Login: Login{Username: "u", Password: "canary-pw"}}.withDefaults(), "registry.example")
	err := p.explain(&url.Error{Op: "Get", URL: "https://registry.example/v2/?secret=1", Err: errors.New("broke")})
	if got := err.Error(); got != "registry registry.example: broke" {
		t.Errorf("%q", got)
	}
	if got := p.explain(errors.New(`malformed HTTP response "canary-pw"`)).Error(); strings.Contains(got, "canary") {
		t.Errorf("%q", got)
	}
}
