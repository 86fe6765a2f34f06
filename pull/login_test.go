package pull

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rootlet/internal/testenv"
	"rootlet/pull/registry"
	"rootlet/pull/registrytest"
)

// as is the registry itself with a login.
func as(host, repository, user, password string) []registry.Config {
	return []registry.Config{{Host: host, Repository: repository, Login: registry.Login{Username: user, Password: password}}}
}

// insecurely is the registry itself, whatever its certificate.
func insecurely(host, repository string) []registry.Config {
	return []registry.Config{{Host: host, Repository: repository, Insecure: true}}
}

func TestLogin(t *testing.T) {
	const user, password = "someone", "s3cret:with:colons"
	for name, require := range map[string]func(*registrytest.Registry){
		"basic": func(r *registrytest.Registry) { r.RequireBasic(user, password) },
		"token": func(r *registrytest.Registry) { r.RequireToken(user, password, "") },
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Push("some/image", threeLayers())
			require(r)
			o := quick()
			o.Endpoints = as(r.Host, "some/image", user, password)
			mustPull(t, r.Host+"/some/image", o, newMemStore())

			o.Endpoints = as(r.Host, "some/image", user, "wrong")
			err := mustFail(t, r.Host+"/some/image", o, Unauthorized, "denied", "authentication required")
			if !strings.Contains(err.Hint(), r.Host) {
				t.Errorf("hint %q does not name the registry", err.Hint())
			}
			o.Endpoints = nil
			mustFail(t, r.Host+"/some/image", o, Unauthorized, "denied")
		})
	}
}

// TestTokenExpires has a registry that forgets its tokens in the middle.
func TestTokenExpires(t *testing.T) {
	r := registrytest.New(t)
	image := threeLayers()
	r.Push("some/image", image)
	r.RequireToken("", "", "")
	challenge := fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:some/image:pull"`, r.Server.URL)
	r.Add(registrytest.Fault{
		Path: registrytest.Digest(image.Layers[1].Blob()), Times: 1,
		Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {challenge}},
	})
	mustPull(t, r.Host+"/some/image", quick(), newMemStore())
	if n := r.Count("/token"); n != 2 {
		t.Errorf("%d tokens fetched, want 2", n)
	}
}

func TestAnonymousToken(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image", threeLayers())
	r.RequireToken("", "", "")
	mustPull(t, r.Host+"/some/image", Options{}, newMemStore())
}

// TestCredentialsStay redirects blobs to a second host, which must see no
// credentials (threats 31).
func TestCredentialsStay(t *testing.T) {
	r, elsewhere := registrytest.New(t), registrytest.New(t)
	image := threeLayers()
	r.Push("some/image", image)
	elsewhere.Push("some/image", image)
	r.RequireBasic("someone", "secret")
	r.RedirectBlobs(elsewhere.Server.URL)
	o := quick()
	o.Endpoints = as(r.Host, "some/image", "someone", "secret")
	mustPull(t, r.Host+"/some/image", o, newMemStore())
	if elsewhere.Count("/blobs/") == 0 {
		t.Error("no blob was fetched from where the registry pointed")
	}
	for _, req := range elsewhere.Requests() {
		if h := req.Header.Get("Authorization"); h != "" {
			t.Errorf("%s %s carried credentials", req.Method, req.URL)
		}
	}

	// Where the second host asks for them, it still gets none.
	elsewhere.RequireBasic("someone", "secret")
	mustFail(t, r.Host+"/some/image", o, Unauthorized)
	for _, req := range elsewhere.Requests() {
		if h := req.Header.Get("Authorization"); h != "" {
			t.Errorf("%s %s carried credentials when asked", req.Method, req.URL)
		}
	}
}

func TestRealm(t *testing.T) {
	for _, realm := range []string{"http://auth.invalid/token", "ftp://127.0.0.1/token", "token", "http://2130706433/token", "http://0x7f000001/token"} {
		r := registrytest.New(t)
		r.Push("some/image", forHere())
		r.RequireToken("someone", "secret", realm)
		o := quick()
		o.Endpoints = as(r.Host, "some/image", "someone", "secret")
		mustFail(t, r.Host+"/some/image", o, Unreachable, "token server")
	}
}

func TestInsecure(t *testing.T) {
	r := registrytest.NewTLS(t)
	r.Push("some/image", threeLayers())
	mustPull(t, r.Host+"/some/image", Options{Endpoints: insecurely(r.Host, "some/image")}, newMemStore())
}

// TestPlainHTTP stands on names that lead to loopback but are not it.
func TestPlainHTTP(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image", forHere())
	_, port, _ := strings.Cut(r.Host, ":")
	if _, err := http.Get("http://0.0.0.0:" + port + "/v2/"); err != nil {
		testenv.Skip(t, "0.0.0.0 to lead to loopback")
	}
	name := "0.0.0.0:" + port + "/some/image"
	err := mustFail(t, name, quick(), Unreachable, "HTTP")
	if !strings.Contains(err.Hint(), "--tls-verify=false") {
		t.Errorf("hint %q", err.Hint())
	}
	o := Options{Endpoints: insecurely("0.0.0.0:"+port, "some/image")}
	if _, err := Image(context.Background(), mustParse(t, name), o, newMemStore()); err != nil {
		t.Error(err)
	}
}
