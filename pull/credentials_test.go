package pull

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rootlet/internal/testenv"
	"rootlet/pull/registry"
	"rootlet/pull/registrytest"
)

func authJSON(key, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func writeAuth(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
			o.AuthFiles = []string{writeAuth(t, authJSON(r.Host, user, password))}
			mustPull(t, r.Host+"/some/image", o, newMemStore())

			o.AuthFiles = []string{writeAuth(t, authJSON(r.Host, user, "wrong"))}
			err := mustFail(t, r.Host+"/some/image", o, Unauthorized, "denied", "authentication required")
			if !strings.Contains(err.Hint(), r.Host) {
				t.Errorf("hint %q does not name the registry", err.Hint())
			}
			o.AuthFiles = nil
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
	o.AuthFiles = []string{writeAuth(t, authJSON(r.Host, "someone", "secret"))}
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
		o.AuthFiles = []string{writeAuth(t, authJSON(r.Host, "someone", "secret"))}
		mustFail(t, r.Host+"/some/image", o, Unreachable, "token server")
	}
}

func TestInsecure(t *testing.T) {
	r := registrytest.NewTLS(t)
	r.Push("some/image", threeLayers())
	verify := false
	mustPull(t, r.Host+"/some/image", Options{TLSVerify: &verify}, newMemStore())
}

func TestFindLogin(t *testing.T) {
	ref := mustParse(t, "quay.io/team/app")
	hub := mustParse(t, "debian")
	one := func(key, user string) string { return writeAuth(t, authJSON(key, user, "x")) }
	cases := []struct {
		name  string
		files []string
		ref   Reference
		user  string
	}{
		{"no file", []string{"/does/not/exist"}, ref, ""},
		{"another registry", []string{one("quay.example", "u")}, ref, ""},
		{"host", []string{one("quay.io", "host")}, ref, "host"},
		{"old form", []string{one("https://quay.io/v1/", "old")}, ref, "old"},
		{"namespace", []string{one("quay.io/team", "team")}, ref, "team"},
		{"other namespace", []string{one("quay.io/te", "te")}, ref, ""},
		{"first file wins", []string{one("quay.io", "first"), one("quay.io/team/app", "second")}, ref, "first"},
		{"Docker Hub", []string{one("https://index.docker.io/v1/", "hub")}, hub, "hub"},
		{"Docker Hub by Podman", []string{one("docker.io", "hub")}, hub, "hub"},
		{"longest key", []string{writeAuth(t, `{"auths":{"quay.io":{"username":"a","password":"b"},"quay.io/team/app":{"username":"c","password":"d"}}}`)}, ref, "c"},
		{"empty entry of a helper", []string{writeAuth(t, `{"auths":{"quay.io":{}},"credsStore":"x"}`), one("quay.io", "next")}, ref, "next"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			login, err := findLogin(c.files, c.ref)
			if err != nil || login.Username != c.user {
				t.Errorf("user %q, %v; want %q", login.Username, err, c.user)
			}
		})
	}
	for _, bad := range []string{"{", `{"auths":{"quay.io":{"auth":"*"}}}`, `{"auths":{"quay.io":{"auth":"bm9jb2xvbg=="}}}`} {
		file := writeAuth(t, bad)
		if login, err := findLogin([]string{file}, ref); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %+v, %v; want an error that names the file", bad, login, err)
		}
	}
}

func TestDockercfg(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".dockercfg")
	if err := os.WriteFile(path, []byte(`{"quay.io":{"auth":"dTpw"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	login, err := findLogin([]string{path}, mustParse(t, "quay.io/a"))
	if want := (registry.Login{Username: "u", Password: "p"}); err != nil || login != want {
		t.Errorf("%+v, %v", login, err)
	}
}

func TestAuthFiles(t *testing.T) {
	env := map[string]string{"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1"}
	getenv := func(key string) string { return env[key] }
	want := []string{"/run/user/1/containers/auth.json", "/home/u/.config/containers/auth.json", "/home/u/.docker/config.json", "/home/u/.dockercfg"}
	if got := AuthFiles(getenv); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	env["REGISTRY_AUTH_FILE"], env["DOCKER_CONFIG"] = "/a", "/d"
	if got := AuthFiles(getenv); got[0] != "/a" || got[3] != "/d/config.json" {
		t.Errorf("got %q", got)
	}
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
	verify := false
	if _, err := Image(context.Background(), mustParse(t, name), Options{TLSVerify: &verify}, newMemStore()); err != nil {
		t.Error(err)
	}
}
