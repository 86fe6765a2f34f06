package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/internal/iana"
)

// The canaries: each is a secret that the registry or its token server may see,
// and nobody else, nor any message (threats 31 and 50; scorecard S12).
const (
	canaryUser     = "canary-user"
	canaryPassword = "canary-password"
	canaryIdentity = "canary-identity-token"
	canaryBearer   = "canary-bearer-token"
)

func canaryLogin() Login { return Login{Username: canaryUser, Password: canaryPassword} }

// sightings lists the canaries that a text holds.
func sightings(text string) (seen []string) {
	basic := base64.StdEncoding.EncodeToString([]byte(canaryUser + ":" + canaryPassword))
	for _, secret := range []string{canaryPassword, canaryIdentity, canaryBearer, basic, url.QueryEscape(basic)} {
		if strings.Contains(text, secret) {
			seen = append(seen, secret)
		}
	}
	return seen
}

// host is a server that writes down all that it is sent.
type host struct {
	*httptest.Server
	mu    sync.Mutex
	got   strings.Builder
	seen  int
	deaf  bool // to bodies, which serve reads
	serve func(w http.ResponseWriter, r *http.Request)
}

func newHost(t *testing.T, address string) *host {
	t.Helper()
	h := &host{serve: func(w http.ResponseWriter, r *http.Request) {}}
	h.Server = httptest.NewUnstartedServer(h)
	h.Listener.Close()
	h.Listener = listenOn(t, address)
	// With a small buffer who is not read from notices it.
	h.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		return ctx
	}
	h.Start()
	t.Cleanup(h.Close)
	return h
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dump, _ := httputil.DumpRequest(r, !h.deaf)
	h.mu.Lock()
	h.got.Write(dump)
	h.seen++
	h.mu.Unlock()
	h.serve(w, r)
}

func (h *host) heard() (string, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got.String(), h.seen
}

// world is a registry, its token server, and somebody else. All three stand on
// this machine and count as three others: 127.0.0.4 is under no name of the
// registry's.
type world struct {
	registry, other *host
	config          Config
}

func newWorld(t *testing.T) *world {
	w := &world{registry: newHost(t, "127.0.0.1:0"), other: newHost(t, "127.0.0.4:0")}
	w.config = Config{
		Host: w.registry.Listener.Addr().String(), Repository: "some/image", Login: canaryLogin(),
		HeaderTimeout: time.Second, Silence: time.Second, RetryDelay: time.Millisecond,
	}
	return w
}

const manifest = `{"schemaVersion":2}`

// asking has the registry ask for credentials as it says, and answer who has any.
func (w *world) asking(challenge string, then func(http.ResponseWriter, *http.Request)) {
	w.registry.serve = func(out http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			fmt.Fprintf(out, `{"token":%q}`, canaryBearer)
		case r.Header.Get("Authorization") == "" && challenge != "":
			out.Header().Set("WWW-Authenticate", challenge)
			out.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v2/":
		default:
			then(out, r)
		}
	}
}

// talk does all that a client does, and returns what was said of what failed.
func (w *world) talk(t *testing.T) string {
	t.Helper()
	var said strings.Builder
	say := func(err error) {
		for ; err != nil; err = unwrapped(err) {
			fmt.Fprintf(&said, "%v\n%+v\n", err, err)
			if _, ok := err.(*redactedError); ok {
				return // below it is what was taken out
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, err := Dial(ctx, w.config)
	if err != nil {
		say(err)
		return said.String()
	}
	defer client.Close()
	_, _, err = client.Manifest(ctx, "latest")
	say(err)
	digest := digestOf([]byte("blob"))
	blob, err := client.Blob(ctx, digest, 4, 0)
	if err == nil {
		_, err = io.Copy(io.Discard, blob)
		blob.Close()
	}
	say(err)
	_, err = client.HasBlob(ctx, descriptorOf("blob"))
	say(err)
	say(client.PutBlob(ctx, descriptorOf("blob"), func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("blob"[offset:])), nil
	}))
	say(client.PutManifest(ctx, "latest", []byte(manifest), "application/json"))
	_, err = client.Tags(ctx, 10)
	say(err)
	return said.String()
}

func unwrapped(err error) error {
	if w, ok := err.(interface{ Unwrap() error }); ok {
		return w.Unwrap()
	}
	return nil
}

// TestCanaries is what a registry, or who stands behind it, can do to have a
// secret sent elsewhere or said aloud.
func TestCanaries(t *testing.T) {
	basic := `Basic realm="x"`
	bearer := func(realm string) string { return fmt.Sprintf(`Bearer realm=%q,service="s"`, realm) }
	redirect := func(to string, code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to+r.URL.Path, code) }
	}
	answer := func(code int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code); fmt.Fprint(w, body) }
	}
	ask := func(challenge string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Authorization")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"you sent %s"}]}`, sent)
	}
	type test struct {
		name  string
		setup func(w *world)
	}
	cases := []test{
		{"realm of another host", func(w *world) { w.asking(bearer(w.other.URL+"/token"), answer(200, manifest)) }},
		{"realm of another host, over https", func(w *world) {
			w.asking(bearer(strings.Replace(w.other.URL, "http:", "https:", 1)+"/token"), answer(200, manifest))
		}},
		{"realm of another host that wants a login", func(w *world) {
			w.other.serve = ask(basic)
			w.asking(bearer(w.other.URL+"/token"), answer(200, manifest))
		}},
		{"realm of another host, by its user part", func(w *world) {
			w.asking(bearer("http://"+w.config.Host+"@"+w.other.Listener.Addr().String()+"/token"), answer(200, manifest))
		}},
		{"realm with plain http to a name", func(w *world) { w.asking(bearer("http://auth.invalid/token"), answer(200, manifest)) }},
		{"realm with a decimal host", func(w *world) { w.asking(bearer("http://2130706436/token"), answer(200, manifest)) }},
		{"realm with a hexadecimal host", func(w *world) { w.asking(bearer("http://0x7f000004/token"), answer(200, manifest)) }},
		{"realm that is a file", func(w *world) { w.asking(bearer("file:///etc/passwd"), answer(200, manifest)) }},
		{"realm that redirects to another host", func(w *world) {
			w.asking(bearer(w.registry.URL+"/token"), answer(200, manifest))
			inner := w.registry.serve
			w.registry.serve = func(out http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					http.Redirect(out, r, w.other.URL+"/token", http.StatusTemporaryRedirect)
					return
				}
				inner(out, r)
			}
		}},
		{"OAuth realm that redirects to another host", func(w *world) {
			w.config.Login = Login{Username: canaryUser, IdentityToken: canaryIdentity}
			w.asking(bearer(w.registry.URL+"/token"), answer(200, manifest))
			inner := w.registry.serve
			w.registry.serve = func(out http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					http.Redirect(out, r, w.other.URL+"/token", http.StatusPermanentRedirect)
					return
				}
				inner(out, r)
			}
		}},
		{"OAuth realm of another host", func(w *world) {
			w.config.Login = Login{Username: canaryUser, IdentityToken: canaryIdentity}
			w.asking(bearer(w.other.URL+"/token"), answer(200, manifest))
		}},
		{"registry token, realm of another host", func(w *world) {
			w.config.Login = Login{RegistryToken: canaryBearer}
			w.asking(bearer(w.other.URL+"/token"), ask(bearer(w.other.URL+"/token")))
		}},
		{"the greeting redirects to another host", func(w *world) {
			w.other.serve = ask(basic)
			w.registry.serve = redirect(w.other.URL, 307)
		}},
		{"the greeting's question comes from another host", func(w *world) {
			w.other.serve = ask(bearer(w.other.URL + "/token"))
			w.registry.serve = redirect(w.other.URL, 302)
		}},
		{"307 to another host, basic", func(w *world) { w.asking(basic, redirect(w.other.URL, 307)) }},
		{"302 to another host, basic", func(w *world) { w.asking(basic, redirect(w.other.URL, 302)) }},
		{"308 to another host, bearer", func(w *world) { w.asking(bearer(w.registry.URL+"/token"), redirect(w.other.URL, 308)) }},
		{"307 to another host that asks for basic", func(w *world) {
			w.other.serve = ask(basic)
			w.asking(basic, redirect(w.other.URL, 307))
		}},
		{"307 to another host that asks for a token of its own", func(w *world) {
			w.other.serve = ask(bearer(w.other.URL + "/token"))
			w.asking(bearer(w.registry.URL+"/token"), redirect(w.other.URL, 307))
		}},
		{"307 to another host that names the registry's token server", func(w *world) {
			w.other.serve = ask(bearer(w.registry.URL + "/token"))
			w.asking(bearer(w.registry.URL+"/token"), redirect(w.other.URL, 307))
		}},
		{"307 to another host with the registry's name as its user", func(w *world) {
			w.asking(basic, redirect("http://"+w.config.Host+"@"+w.other.Listener.Addr().String(), 307))
		}},
		{"there and back again", func(w *world) {
			w.other.serve = redirect(w.registry.URL, 307)
			w.asking(basic, redirect(w.other.URL, 307))
		}},
		{"another port of the registry's host", func(w *world) { w.asking(basic, redirect(w.other.URL, 303)) }},
		{"an upload goes on at another host", func(w *world) {
			w.config.Push = true
			w.asking(basic, func(out http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					out.Header().Set("Location", w.other.URL+"/upload?state=1")
					out.WriteHeader(http.StatusAccepted)
					return
				}
				out.WriteHeader(http.StatusNotFound)
			})
		}},
		{"the next page is at another host", func(w *world) {
			w.asking(basic, func(out http.ResponseWriter, r *http.Request) {
				out.Header().Set("Link", "<"+w.other.URL+`/v2/x/tags/list>; rel="next"`)
				fmt.Fprint(out, `{"tags":["a"]}`)
			})
		}},
		{"the new question after an answer names another host", func(w *world) {
			w.asking(bearer(w.registry.URL+"/token"), ask(bearer(w.other.URL+"/token")))
		}},
		{"a login is sent back, basic", func(w *world) { w.asking(basic, echo) }},
		{"a token is sent back", func(w *world) { w.asking(bearer(w.registry.URL+"/token"), echo) }},
		{"a login is sent back as what is no answer", func(w *world) {
			w.asking(basic, func(out http.ResponseWriter, r *http.Request) {
				conn, _, err := http.NewResponseController(out).Hijack()
				if err == nil {
					fmt.Fprintf(conn, "%s\r\n\r\n", r.Header.Get("Authorization"))
					conn.Close()
				}
			})
		}},
		{"a login is sent back by the token server", func(w *world) {
			w.asking(bearer(w.registry.URL+"/token"), answer(200, manifest))
			inner := w.registry.serve
			w.registry.serve = func(out http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					echo(out, r)
					return
				}
				inner(out, r)
			}
		}},
		{"a token is sent back as where to go", func(w *world) {
			w.asking(bearer(w.registry.URL+"/token"), func(out http.ResponseWriter, r *http.Request) {
				http.Redirect(out, r, "http://127.0.0.1:1/"+r.Header.Get("Authorization"), http.StatusTemporaryRedirect)
			})
		}},
		{"a token that is no token", func(w *world) {
			w.asking(bearer(w.registry.URL+"/token"), answer(200, manifest))
			inner := w.registry.serve
			w.registry.serve = func(out http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					fmt.Fprintf(out, `{"token":"%s", oops %s`, canaryBearer, r.Header.Get("Authorization"))
					return
				}
				inner(out, r)
			}
		}},
	}
	if len(cases) < 25 {
		t.Fatalf("%d cases", len(cases))
	}
	shown, led := 0, 0 // how often the registry saw a secret, and the other host was asked
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.setup(w)
			said := w.talk(t)
			heard, n := w.other.heard()
			led += min(n, 1)
			if own, _ := w.registry.heard(); sightings(own) != nil {
				shown++
			}
			if seen := sightings(heard); seen != nil {
				t.Errorf("another host saw %q:\n%s", seen, heard)
			}
			if seen := sightings(said); seen != nil {
				t.Errorf("a message tells %q:\n%s", seen, said)
			}
			if _, n := w.registry.heard(); n == 0 {
				t.Error("the registry was not asked")
			}
		})
	}
	t.Logf("of %d cases the registry saw a secret in %d, and the other host was asked in %d", len(cases), shown, led)
	if shown < len(cases)/2 || led < len(cases)/2 {
		t.Error("too few of them had something to tell")
	}
}

// TestCanaryHosts has the same three hosts with the guard as it is for a registry
// that is not on this machine: the other one is not asked at all.
func TestCanaryHosts(t *testing.T) {
	w := newWorld(t)
	w.asking("", func(out http.ResponseWriter, r *http.Request) {
		http.Redirect(out, r, w.other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	client, err := Dial(context.Background(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.policy.close() // the connection that there is
	client.policy.guard.classify = func(ip netip.Addr) iana.Class {
		if ip.Unmap().String() == "127.0.0.1" {
			return iana.Public
		}
		return iana.ClassOf(ip)
	}
	client.policy.guard.stands = iana.Public
	_, _, err = client.Manifest(context.Background(), "latest")
	if err == nil || !strings.Contains(err.Error(), "this machine") {
		t.Errorf("error %v", err)
	}
	if _, n := w.other.heard(); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestClientCertificateStays is for the registry, and for nobody it names.
func TestClientCertificateStays(t *testing.T) {
	certificate := tls.Certificate{Certificate: [][]byte{bytes.Repeat([]byte{1}, 10)}}
	p := testPolicy(t, Config{Host: "registry.example"}.withDefaults(), "registry.example")
	p.own.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	for target, want := range map[string]bool{"https://registry.example/": true, "https://cdn.example/": false, "https://registry.example:444/": false} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(p.transportFor(u).TLSClientConfig.Certificates) > 0; got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
}
