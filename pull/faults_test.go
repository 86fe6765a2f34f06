package pull

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"rootlet/pull/registrytest"
)

// This is faults F23 to F26 of the threat table, as far as errors_test.go does
// not have them: each ends well, or with an error within bounds and a store as
// it was.

// TestRetryAfter waits as it is told to, in seconds and until a date.
func TestRetryAfter(t *testing.T) {
	image := threeLayers()
	date := func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }
	for name, after := range map[string]string{"seconds": "1", "date": date()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.New(t)
			r.Push("some/image", image)
			r.Add(registrytest.Fault{Path: "manifests/", Status: 429, Times: 1, Header: http.Header{"Retry-After": {after}}})
			began := time.Now()
			mustPull(t, r.Host+"/some/image", quick(), newMemStore())
			if took := time.Since(began); took < 900*time.Millisecond || took > 4*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestRetryAfterTooLong does not wait for what is too long to wait for.
func TestRetryAfterTooLong(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image", forHere())
	r.Add(registrytest.Fault{
		Path: "manifests/", Status: 429, Header: http.Header{"Retry-After": {"7200"}},
		Body: []byte(`{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`),
	})
	mustFail(t, r.Host+"/some/image", quick(), Other, "rate limit", "2h0m0s")
	if n := r.Count("manifests/"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestUnavailableForEver gives up after as many tries as there are.
func TestUnavailableForEver(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Add(registrytest.Fault{Path: big, Status: 503})
	mustFail(t, r.Host+"/some/image", quick(), Other, "503")
	if n := r.Count(big); n != 6 {
		t.Errorf("asked %d times", n)
	}
}

func TestWebPage(t *testing.T) {
	image := threeLayers()
	page := registrytest.Fault{
		Status: 200, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, Body: []byte("<html>hotel wifi</html>"),
	}
	for _, path := range []string{"manifests/", registrytest.Digest(image.Layers[1].Blob()), registrytest.Digest(image.ConfigJSON())} {
		r := registrytest.New(t)
		r.Push("some/image", image)
		page.Path, page.Times = path, 0
		r.Add(page)
		mustFail(t, r.Host+"/some/image", quick(), Unreachable, "web page")
		if n := r.Count(path); n != 2 {
			t.Errorf("%s: asked %d times, want it asked once more", path, n)
		}

		r.Clear()
		page.Times = 1
		r.Add(page)
		mustPull(t, r.Host+"/some/image", quick(), newMemStore())
	}
}

func TestReset(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Add(registrytest.Fault{Path: big, Truncate: 500_000, Reset: true, Times: 1})
	r.Add(registrytest.Fault{Path: "manifests/", Truncate: 20, Reset: true, Times: 1})
	mustPull(t, r.Host+"/some/image", quick(), newMemStore())

	r.Clear()
	r.Add(registrytest.Fault{Path: big, Truncate: 500_000, Reset: true, NoRange: true})
	mustFail(t, r.Host+"/some/image", quick(), Truncated)
	r.Clear()
	r.Add(registrytest.Fault{Path: "manifests/", Truncate: 20, Reset: true})
	mustFail(t, r.Host+"/some/image", quick(), Unreachable)
}

// TestByteByByte has a registry that cuts each connection after a byte: that it
// always sends one does not make it go on for ever.
func TestByteByByte(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Add(registrytest.Fault{Path: big, Truncate: 1})
	mustFail(t, r.Host+"/some/image", quick(), Truncated)
	if n := r.Count(big); n > 7 {
		t.Errorf("asked %d times", n)
	}
}

// TestSlow has a registry that sends little by little, and never nothing for
// long.
func TestSlow(t *testing.T) {
	image := forHere(registrytest.NewLayer(registrytest.Gzip, file("small")))
	blob := image.Layers[0].Blob()
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Add(registrytest.Fault{Path: registrytest.Digest(blob), Slow: 5 * time.Millisecond, Piece: 1})
	o := quick()
	o.Silence = 100 * time.Millisecond
	began := time.Now()
	mustPull(t, r.Host+"/some/image", o, newMemStore())
	if took, least := time.Since(began), time.Duration(len(blob))*5*time.Millisecond; took < least {
		t.Errorf("took %v, less than %v", took, least)
	}
}

// TestTokenFetchedOnce has all layers find their token expired at once.
func TestTokenFetchedOnce(t *testing.T) {
	image := forHere()
	for i := range 6 {
		image.Layers = append(image.Layers, registrytest.RandomLayer(registrytest.Gzip, uint64(i), 10_000))
	}
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.RequireToken("", "", "")
	var forgotten atomic.Bool
	o := quick()
	o.Parallel = 6
	o.Events = func(Event) {
		if forgotten.CompareAndSwap(false, true) {
			r.ForgetTokens()
		}
	}
	mustPull(t, r.Host+"/some/image", o, newMemStore())
	if n := r.Count("/token"); n != 2 {
		t.Errorf("%d tokens fetched, want 2", n)
	}
}

// TestRefusedAfterAll answers every request with 401, however new the token is.
func TestRefusedAfterAll(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.RequireToken("", "", "")
	challenge := `Bearer realm="` + r.Server.URL + `/token",service="test"`
	r.Add(registrytest.Fault{Path: big, Status: 401, Header: http.Header{"Www-Authenticate": {challenge}}})
	mustFail(t, r.Host+"/some/image", quick(), Unauthorized)
	if n := r.Count(big); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestRedirectLoop(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	for _, path := range []string{"manifests/", big} {
		r := registrytest.New(t)
		r.Push("some/image", image)
		r.Add(registrytest.Fault{Path: path, Status: 307, Header: http.Header{"Location": {"?again"}}})
		mustFail(t, r.Host+"/some/image", quick(), Unreachable, "more than 10 redirects")
		if n := r.Count(path); n > 11 {
			t.Errorf("asked %d times", n)
		}
	}
}

// TestForeignURLs has a manifest that wants its layer fetched from elsewhere.
func TestForeignURLs(t *testing.T) {
	canary := registrytest.New(t)
	image := threeLayers()
	image.Edit = withURLs(canary.Server.URL + "/canary")
	r := registrytest.New(t)
	r.Push("some/image", image)
	mustPull(t, r.Host+"/some/image", quick(), newMemStore())
	if n := len(canary.Requests()); n != 0 {
		t.Errorf("the canary was asked %d times", n)
	}
}

// TestHugeToken has a token server that sends without end.
func TestHugeToken(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image", forHere())
	tokens := registrytest.New(t)
	r.RequireToken("", "", tokens.Server.URL+"/token")
	for name, body := range map[string]string{
		"huge":    `{"token":"` + strings.Repeat("x", 2<<20) + `"}`,
		"none":    `{}`,
		"no JSON": `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			tokens.Clear()
			tokens.Add(registrytest.Fault{Path: "/token", Status: 200, Body: []byte(body)})
			mustFail(t, r.Host+"/some/image", quick(), Unreachable, "token server")
		})
	}
}

// TestCancelWhileWaiting ends a pull that a registry has told to wait.
func TestCancelWhileWaiting(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image", forHere())
	r.Add(registrytest.Fault{Path: "manifests/", Status: 429, Header: http.Header{"Retry-After": {"60"}}})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Image(ctx, mustParse(t, r.Host+"/some/image"), quick(), newMemStore()); err == nil || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func withURLs(url string) func(*v1.Manifest) {
	return func(m *v1.Manifest) {
		for i := range m.Layers {
			m.Layers[i].URLs = []string{url, "http://169.254.169.254/latest/meta-data"}
		}
	}
}
