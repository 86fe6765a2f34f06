package integration

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"rootlet/internal/testenv"
)

// A login is seen by the registry that it is for, and stands in the file that keeps it:
// threats.md, 50 and S12. pull/registry has the same for what goes over the wire.
const (
	canaryUser     = "canary-user"
	canaryPassword = "canary-pass/word+?"
	canaryToken    = "canary-bearer-token"
)

// canaries are the secrets in each form that they take.
func canaries() (forms []string) {
	for _, secret := range []string{canaryPassword, canaryToken, canaryUser + ":" + canaryPassword, canaryUser + ":" + canaryToken} {
		plain, web := base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret))
		forms = append(forms, secret, url.QueryEscape(secret), plain, web, url.QueryEscape(plain), fmt.Sprintf("%q", secret), fmt.Sprintf("%x", secret))
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// aviary is a registry that lets only the canary in, and does what a case has it do.
type aviary struct {
	*fakeRegistry
	server *httptest.Server

	mu       sync.Mutex
	basic    bool // ask for the password itself, and not for a token
	mischief func(w http.ResponseWriter, r *http.Request) bool
	let      int // requests that were let in
	seen     []string
}

func newAviary(t *testing.T) *aviary {
	a := &aviary{fakeRegistry: newFakeRegistry()}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.fakeRegistry.server.Close)
	t.Cleanup(a.server.Close)
	if err := a.push("busybox", "busybox"); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *aviary) address() string { return strings.TrimPrefix(a.server.URL, "http://") }

func (a *aviary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	basic, mischief := a.basic, a.mischief
	a.mu.Unlock()
	user, password, isBasic := r.BasicAuth()
	knows := isBasic && user == canaryUser && password == canaryPassword
	isToken := r.Header.Get("Authorization") == "Bearer "+canaryToken
	if knows || isToken {
		a.look() // now, while whoever has the secret is waiting for an answer
	}
	switch {
	case mischief != nil && mischief(w, r):
	case r.URL.Path == "/token" && knows:
		fmt.Fprintf(w, `{"token":%q}`, canaryToken)
	case basic && knows, !basic && isToken:
		a.inner.ServeHTTP(w, r)
	default:
		w.Header().Set("WWW-Authenticate", map[bool]string{true: `Basic realm="x"`, false: fmt.Sprintf(`Bearer realm="%s/token",service="s"`, a.server.URL)}[basic])
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// look reads what /proc shows of each process of the user's.
func (a *aviary) look() {
	var seen []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || ownerOf(info) != os.Getuid() {
			continue
		}
		for _, name := range []string{"cmdline", "environ", "comm"} {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			seen = append(seen, sighted(dir+"/"+name, string(text))...)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.let++
	a.seen = append(a.seen, seen...)
}

// sighted says which canaries are in a text.
func sighted(where, text string) (seen []string) {
	for _, form := range canaries() {
		if strings.Contains(text, form) {
			seen = append(seen, fmt.Sprintf("%s has %q", where, form))
		}
	}
	return seen
}

// at limits mischief to some requests.
func at(part string, do http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	method, path, _ := strings.Cut(part, " ")
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead && method == http.MethodPost && strings.Contains(r.URL.Path, "/blobs/") {
			w.WriteHeader(http.StatusNotFound) // so that there is something to upload
			return true
		}
		if r.Method != method || !strings.Contains(r.URL.Path, path) || path == "/blobs/" && strings.Contains(r.URL.Path, "/uploads/") {
			return false
		}
		do(w, r)
		return true
	}
}

// parrot says aloud what it was sent, as an answer of the protocol.
func parrot(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.Header().Set("Retry-After", "0")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"you sent %s, %s and %s"}]}`, r.Header.Get("Authorization"), user, password)
	}
}

// first answers the first request so, and those that follow so.
func first(one, others http.HandlerFunc) http.HandlerFunc {
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		answer := others
		once.Do(func() { answer = one })
		answer(w, r)
	}
}

// page is parrot in a form of no protocol.
func page(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprintf(w, "<html>%s %v</html>", r.Header.Get("Authorization"), r.Header)
	}
}

// sendTo has a client go elsewhere, with the secret in the address.
func sendTo(base string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", fmt.Sprintf("%s%s?token=%s&auth=%s", base, r.URL.Path, url.QueryEscape(canaryToken), url.QueryEscape(r.Header.Get("Authorization"))))
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// indiscretion is something that is done with a login, and how the registry answers.
type indiscretion struct {
	name   string
	basic  bool
	do     string // pull, push, login, run, tags
	where  string // method and a part of the path; empty: nowhere
	answer http.HandlerFunc
}

// indiscretions are each kind of answer to each kind of request.
func indiscretions() []indiscretion {
	nobody := "http://127.0.0.3:9"
	garbage := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"token": %q, `, r.Header.Get("Authorization"))
	}
	hangUp := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		fmt.Fprintf(w, "short %s", r.Header.Get("Authorization"))
	}
	tests := []indiscretion{
		{"nothing wrong, token", false, "pull", "", nil},
		{"nothing wrong, password", true, "pull", "", nil},
		{"nothing wrong", false, "push", "", nil},
		{"nothing wrong", true, "login", "", nil},
		{"tags", false, "tags", "GET /tags/", parrot(403)},
		{"wrong media type", false, "pull", "GET /manifests/", page(200)},
		{"manifest ends early", false, "run", "GET /manifests/", garbage},
	}
	for _, basic := range []bool{false, true} {
		kind := map[bool]string{false: "token", true: "password"}[basic]
		for _, code := range []int{401, 403, 404} {
			tests = append(tests, indiscretion{fmt.Sprint(kind, ", manifest ", code), basic, "pull", "GET /manifests/", parrot(code)})
		}
		for _, code := range []int{401, 403, 410} {
			tests = append(tests, indiscretion{fmt.Sprint(kind, ", blob ", code), basic, "pull", "GET /blobs/", parrot(code)})
		}
		tests = append(
			tests,
			indiscretion{kind + ", manifest 429 and 403", basic, "pull", "GET /manifests/", first(parrot(429), parrot(403))},
			indiscretion{kind + ", manifest 503 and 403", basic, "pull", "GET /manifests/", first(parrot(503), parrot(403))},
			indiscretion{kind + ", manifest is a page", basic, "pull", "GET /manifests/", page(403)},
			indiscretion{kind + ", manifest elsewhere", basic, "pull", "GET /manifests/", sendTo(nobody)},
			indiscretion{kind + ", blob elsewhere", basic, "pull", "GET /blobs/", sendTo("http://10.0.0.1")},
			indiscretion{kind + ", blob is other bytes", basic, "pull", "GET /blobs/", page(200)},
			indiscretion{kind + ", no upload", basic, "push", "POST /uploads/", parrot(403)},
			indiscretion{kind + ", upload is a page", basic, "push", "POST /uploads/", page(400)},
			indiscretion{kind + ", upload elsewhere", basic, "push", "POST /uploads/", sendTo(nobody)},
			indiscretion{kind + ", no manifest put", basic, "push", "PUT /manifests/", parrot(400)},
			indiscretion{kind + ", no login", basic, "login", "GET /v2/", parrot(403)},
		)
	}
	for name, answer := range map[string]http.HandlerFunc{"denied": parrot(401), "forbidden": parrot(403), "a page": page(200), "garbage": garbage, "short": hangUp, "elsewhere": sendTo(nobody)} {
		tests = append(tests, indiscretion{"token server: " + name, false, "pull", "GET /token", answer}, indiscretion{"token server: " + name, false, "login", "GET /token", answer})
	}
	return tests
}

func TestCredentialsAreNotTold(t *testing.T) {
	testenv.Whoever(t)
	p := newPerson(t)
	a := newAviary(t)
	image := a.address() + "/busybox"
	auth := filepath.Join(p.home(), "auth.json")
	p.env = append(p.env, "REGISTRY_AUTH_FILE="+auth)
	login := func(password string) (stdout, stderr string, code int) {
		c := p.command("login", "-u", canaryUser, "--password-stdin", a.address())
		c.Stdin = strings.NewReader(password)
		var out, errs strings.Builder
		c.Stdout, c.Stderr = &out, &errs
		code = exitCode(t, c.Run())
		return out.String(), errs.String(), code
	}
	a.set(false, nil)
	if out, errs, code := login(canaryPassword); code != 0 {
		t.Fatalf("login: %d\n%s%s", code, out, errs)
	}
	said := map[string]string{}
	for _, test := range indiscretions() {
		if test.do == "push" {
			a.set(false, nil)
			p.rootlet("pull", image)
		} else {
			_, _, _ = p.try("rmi", "-f", image)
		}
		var mischief func(http.ResponseWriter, *http.Request) bool
		if test.answer != nil {
			mischief = at(test.where, test.answer)
		}
		a.set(test.basic, mischief)
		var out, errs string
		var code int
		switch test.do {
		case "pull", "push":
			out, errs, code = p.try(test.do, image)
		case "run":
			out, errs, code = p.try("run", "--rm", image, "true")
		case "tags":
			out, errs, code = p.try("pull", "-a", image)
		case "login":
			out, errs, code = login(canaryPassword)
		}
		name := test.do + ", " + test.name
		if (code == 0) != (test.answer == nil) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		said[name] = out + errs
	}
	said["helper"] = p.byHelper(a, image)
	if len(said) < 25 || a.let < len(said) {
		t.Errorf("only %d cases, and %d requests with a secret", len(said), a.let)
	}
	for name, text := range said {
		for _, sighting := range sighted(name, text) {
			t.Errorf("%s\n%s", sighting, text)
		}
	}
	for _, sighting := range a.seen {
		t.Error(sighting)
	}
	a.seen = nil
	p.rootlet("login", "-u", canaryUser, "-p", canaryPassword, a.address())
	if len(a.seen) == 0 {
		t.Error("a password on the command line is not seen: nor would be another")
	}
	for _, args := range [][]string{{"info"}, {"images", "-a"}, {"events", "--since", "1h", "--until", "0s"}, {"system", "df", "-v"}} {
		for _, sighting := range sighted(args[0], p.rootlet(args...)) {
			t.Error(sighting)
		}
	}
	files := 0
	for _, root := range []string{p.home(), p.runtime()} {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || path == auth {
				return nil
			}
			text, err := os.ReadFile(path)
			if err == nil {
				files++
			}
			for _, sighting := range sighted(path, path+string(text)) {
				t.Error(sighting)
			}
			return nil
		})
	}
	if info, err := os.Stat(auth); err != nil || info.Mode().Perm() != 0o600 || files < 10 {
		t.Errorf("%v, %v, and %d other files", info, err, files)
	}
	t.Logf("%d cases, %d requests with a secret, %d files", len(said), a.let, files)
}

// byHelper pulls with a login that a credential helper has, and says what was printed.
func (p *person) byHelper(a *aviary, image string) string {
	p.t.Helper()
	bin := p.t.TempDir()
	helper := fmt.Sprintf("#!/bin/sh\ncat >/dev/null\necho '{\"Username\":%q,\"Secret\":%q}'\n", canaryUser, canaryPassword)
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-canary"), []byte(helper), 0o700); err != nil {
		p.t.Fatal(err)
	}
	config := filepath.Join(bin, "config.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"credHelpers":{%q:"canary"}}`, a.address()), 0o600); err != nil {
		p.t.Fatal(err)
	}
	his := &person{p.t, append(slices.Clone(p.env), "REGISTRY_AUTH_FILE="+config, "PATH="+bin+":"+os.Getenv("PATH")), p.binary}
	a.set(true, nil)
	his.rootlet("rmi", "-f", image)
	out, errs, code := his.try("pull", image)
	if code != 0 {
		p.t.Errorf("pull by a helper's login: %d\n%s%s", code, out, errs)
	}
	return out + errs
}

func (a *aviary) set(basic bool, mischief func(http.ResponseWriter, *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.basic, a.mischief = basic, mischief
}
