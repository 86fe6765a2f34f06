package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rootlet/pull/registry"
)

func authJSON(key, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func write(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func find(t *testing.T, host, repository string, files ...string) registry.Login {
	t.Helper()
	login, err := (&Set{Files: files}).Find(context.Background(), host, repository)
	if err != nil {
		t.Fatal(err)
	}
	return login
}

func TestFind(t *testing.T) {
	one := func(key, user string) string { return write(t, "auth.json", authJSON(key, user, "x")) }
	text := func(body string) string { return write(t, "config.json", body) }
	for _, c := range []struct {
		name             string
		files            []string
		host, repository string
		user             string
	}{
		{"no file", []string{"/does/not/exist"}, "quay.io", "team/app", ""},
		{"empty file", []string{text("")}, "quay.io", "team/app", ""},
		{"another registry", []string{one("quay.example", "u")}, "quay.io", "team/app", ""},
		{"host", []string{one("quay.io", "host")}, "quay.io", "team/app", "host"},
		{"old form", []string{one("https://quay.io/v1/", "old")}, "quay.io", "team/app", "old"},
		{"namespace", []string{one("quay.io/team", "team")}, "quay.io", "team/app", "team"},
		{"namespace, of the host", []string{one("quay.io/team", "team")}, "quay.io", "", ""},
		{"other namespace", []string{one("quay.io/te", "te")}, "quay.io", "team/app", ""},
		{"first file wins", []string{one("quay.io", "first"), one("quay.io/team/app", "second")}, "quay.io", "team/app", "first"},
		{"Docker Hub", []string{one("https://index.docker.io/v1/", "hub")}, "docker.io", "library/debian", "hub"},
		{"Docker Hub by Podman", []string{one("docker.io", "hub")}, "docker.io", "library/debian", "hub"},
		{"two keys for one", []string{text(`{"auths":{"https://quay.io":{"username":"old"},"quay.io":{"username":"plain"}}}`)}, "quay.io", "", "plain"},
		{"longest key", []string{text(`{"auths":{"quay.io":{"username":"a","password":"b"},"quay.io/team/app":{"username":"c","password":"d"}}}`)}, "quay.io", "team/app", "c"},
		{"empty entry", []string{text(`{"auths":{"quay.io":{}}}`), one("quay.io", "next")}, "quay.io", "team/app", "next"},
		{"the old file", []string{write(t, ".dockercfg", `{"quay.io":{"auth":"dTpw"}}`)}, "quay.io", "a", "u"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if login := find(t, c.host, c.repository, c.files...); login.Username != c.user {
				t.Errorf("user %q, want %q", login.Username, c.user)
			}
		})
	}
	for _, bad := range []string{"{", `{"auths":{"quay.io":{"auth":"*"}}}`, `{"auths":{"quay.io":{"auth":"bm9jb2xvbg=="}}}`} {
		file := text(bad)
		if login, err := (&Set{Files: []string{file}}).Find(context.Background(), "quay.io", "a"); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %+v, %v; want an error that names the file", bad, login, err)
		}
	}
}

func TestPaths(t *testing.T) {
	env := map[string]string{"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1"}
	getenv := func(key string) string { return env[key] }
	want := []string{"/run/user/1/containers/auth.json", "/home/u/.config/containers/auth.json", "/home/u/.docker/config.json", "/home/u/.dockercfg"}
	if got := Paths(getenv); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if got := Paths(func(string) string { return "" }); got != nil {
		t.Errorf("without a HOME: %q", got)
	}
	env["REGISTRY_AUTH_FILE"], env["DOCKER_CONFIG"] = "/a", "/d"
	if got := Paths(getenv); got[0] != "/a" || got[3] != "/d/config.json" {
		t.Errorf("got %q", got)
	}
}

// helper installs a docker-credential-NAME that keeps what it is told in a file
// of its own, one line a verb in calls.
func helper(t *testing.T, name, script string) (calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	body := "#!/bin/sh\nread -r input\necho \"$1 $input\" >>" + calls + "\n" + script
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return calls
}

func TestHelpers(t *testing.T) {
	ctx := context.Background()
	calls := helper(t, "fake", `
case "$1 $input" in
"get quay.io") echo '{"ServerURL":"quay.io","Username":"helped","Secret":"s"}' ;;
"get https://index.docker.io/v1/") echo '{"Username":"<token>","Secret":"refresh"}' ;;
"get odd.example") echo nonsense ;;
"get sad.example") echo "the key ring is locked"; exit 1 ;;
"get "*) echo "credentials not found in native keychain"; exit 1 ;;
esac`)
	general := write(t, "config.json", `{"credsStore":"fake","auths":{"inline.example":{"username":"inline","password":"p"}}}`)
	special := write(t, "config.json", `{"credHelpers":{"quay.io":"fake"}}`)
	for host, want := range map[string]registry.Login{
		"quay.io":        {Username: "helped", Password: "s"},
		"docker.io":      {IdentityToken: "refresh"},
		"inline.example": {Username: "inline", Password: "p"},
		"none.example":   {},
	} {
		if got := find(t, host, "x", general); got != want {
			t.Errorf("%s: %+v, want %+v", host, got, want)
		}
	}
	if got := find(t, "quay.io", "x", special); got.Username != "helped" {
		t.Errorf("credHelpers: %+v", got)
	}
	before, _ := os.ReadFile(calls)
	if got := find(t, "other.example", "x", special); got != (registry.Login{}) {
		t.Errorf("credHelpers of another host: %+v", got)
	}
	if after, _ := os.ReadFile(calls); len(after) != len(before) {
		t.Error("a helper was asked for a host that is not its own")
	}
	for host, want := range map[string]string{"odd.example": "not JSON", "sad.example": "the key ring is locked"} {
		if _, err := (&Set{Files: []string{general}}).Find(ctx, host, "x"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "docker-credential-fake") {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
}

func TestHelperThatIsNotThere(t *testing.T) {
	ctx := context.Background()
	var warned string
	s := &Set{Warn: func(text string) { warned = text }}
	s.Files = []string{write(t, "config.json", `{"credsStore":"no-such-helper","auths":{"kept.example":{}}}`)}
	if login, err := s.Find(ctx, "public.example", "x"); err != nil || login != (registry.Login{}) || !strings.Contains(warned, "no-such-helper") {
		t.Errorf("%+v, %v, warned %q", login, err, warned)
	}
	if _, err := s.Find(ctx, "kept.example", "x"); err == nil {
		t.Error("a login that cannot be had is passed over")
	}
	s.Files = []string{write(t, "config.json", `{"credHelpers":{"a.example":"../sh"}}`)}
	if _, err := s.Find(ctx, "a.example", "x"); err == nil || !strings.Contains(err.Error(), "not a path") {
		t.Errorf("a helper by its path: %v", err)
	}
}

func TestLooseFiles(t *testing.T) {
	for mode, want := range map[os.FileMode]string{0o600: "", 0o644: "warned", 0o400: "", 0o666: "refused", 0o602: "refused"} {
		warned := ""
		s := &Set{Files: []string{write(t, "auth.json", authJSON("a.example", "u", "p"))}, Warn: func(string) { warned = "warned" }}
		if err := os.Chmod(s.Files[0], mode); err != nil {
			t.Fatal(err)
		}
		_, err := s.Find(context.Background(), "a.example", "x")
		if err != nil {
			warned = "refused"
		}
		if warned != want {
			t.Errorf("%o: %q, want %q (%v)", mode, warned, want, err)
		}
		if login, err := s.Find(context.Background(), "b.example", "x"); err != nil || login != (registry.Login{}) {
			t.Errorf("%o: another host: %v", mode, err)
		}
	}
}

var someone = registry.Login{Username: "someone", Password: "s3cret:with:colons"}

func TestSave(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		files map[string]string
		host  string
		want  string // the file
		key   string
	}{
		{"nothing there", nil, "a.example", "config.json", "a.example"},
		{"nothing there, the hub", nil, "docker.io", "config.json", hubServer},
		{"the first that is there", map[string]string{"auth.json": "{}", "config.json": "{}"}, "docker.io", "auth.json", "docker.io"},
		{"one that has it", map[string]string{"auth.json": "{}", "config.json": `{"auths":{"a.example":{"auth":"eDp5"}}}`}, "a.example", "config.json", "a.example"},
		{"one that has it by another key", map[string]string{"config.json": `{"auths":{"https://a.example/v2/":{"auth":"eDp5"}}}`}, "a.example", "config.json", "a.example"},
		{"the old file is only read", map[string]string{".dockercfg": `{"a.example":{"auth":"eDp5"}}`}, "a.example", "config.json", "a.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := &Set{}
			for _, name := range []string{"auth.json", "config.json", ".dockercfg"} {
				s.Files = append(s.Files, filepath.Join(dir, name))
			}
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			place, err := s.Save(ctx, c.host, someone, s.Files[1])
			if want := (Place{File: filepath.Join(dir, c.want)}); err != nil || place != want {
				t.Fatalf("%+v, %v; want %+v", place, err, want)
			}
			info, err := os.Stat(place.File)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			var whole struct{ Auths map[string]entry }
			b, _ := os.ReadFile(place.File)
			if err := json.Unmarshal(b, &whole); err != nil || len(whole.Auths) != 1 || whole.Auths[c.key] != entryOf(someone) {
				t.Errorf("%s, %v", b, err)
			}
			if got := find(t, c.host, "x", s.Files...); got != someone {
				t.Errorf("found %+v", got)
			}
		})
	}
}

func TestSaveKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real.json")
	const before = `{"psFormat":"a & <b>","big":12345678901234567890,"auths":{"b.example":{"auth":"eDp5","email":"x@y"}},"credHelpers":{"c.example":"x"},"HttpHeaders":{"A":"b"}}`
	if err := os.WriteFile(real, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "config.json")
	if err := os.Symlink("real.json", link); err != nil {
		t.Fatal(err)
	}
	s := &Set{Files: []string{link}}
	if _, err := s.Save(context.Background(), "a.example", someone, link); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != "real.json" {
		t.Errorf("the link is %q, %v", target, err)
	}
	if n, err := s.Erase(context.Background(), "a.example"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	after, _ := os.ReadFile(real)
	var x, y map[string]json.RawMessage
	if err := json.Unmarshal([]byte(before), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(after, &y); err != nil {
		t.Fatal(err)
	}
	for key, want := range x {
		if got := strings.Join(strings.Fields(string(y[key])), ""); got != strings.Join(strings.Fields(string(want)), "") {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestSaveByHelper(t *testing.T) {
	ctx := context.Background()
	calls := helper(t, "fake", "")
	for _, text := range []string{`{"credsStore":"fake"}`, `{"credHelpers":{"docker.io":"fake"},"credsStore":"not-this-one"}`} {
		path := write(t, "config.json", text)
		s := &Set{Files: []string{path}}
		place, err := s.Save(ctx, "docker.io", someone, path)
		if want := (Place{path, "docker-credential-fake"}); err != nil || place != want {
			t.Fatalf("%+v, %v", place, err)
		}
		if b, _ := os.ReadFile(path); strings.Contains(string(b), entryOf(someone).Auth) || !strings.Contains(string(b), hubServer) {
			t.Errorf("the file: %s", b)
		}
		if n, err := s.Erase(ctx, "docker.io"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if b, _ := os.ReadFile(path); strings.Contains(string(b), hubServer) {
			t.Errorf("the file still says: %s", b)
		}
	}
	got, _ := os.ReadFile(calls)
	const once = `store {"ServerURL":"https://index.docker.io/v1/","Username":"someone","Secret":"s3cret:with:colons"}` + "\nerase https://index.docker.io/v1/\n"
	if string(got) != once+once {
		t.Errorf("the helper was told:\n%s", got)
	}
}

func TestSaveRefuses(t *testing.T) {
	ctx := context.Background()
	broken := write(t, "config.json", "{")
	s := &Set{Files: []string{broken}}
	if _, err := s.Save(ctx, "a.example", someone, broken); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("%v", err)
	}
	if b, _ := os.ReadFile(broken); string(b) != "{" {
		t.Errorf("a file that cannot be read was changed: %s", b)
	}
	if _, err := (&Set{}).Save(ctx, "a.example", someone, ".docker/config.json"); err == nil || !strings.Contains(err.Error(), "HOME") {
		t.Errorf("without a HOME: %v", err)
	}
	fresh := filepath.Join(t.TempDir(), "config.json")
	if _, err := (&Set{Files: []string{fresh}}).Save(ctx, "a.example", registry.Login{Username: "a:b"}, fresh); err == nil {
		t.Error("a user name with a colon was kept")
	}
}

func TestHosts(t *testing.T) {
	s := &Set{Files: []string{
		write(t, "a.json", `{"auths":{"https://index.docker.io/v1/":{},"b.example":{}}}`),
		write(t, "b.json", `{"auths":{"b.example":{}},"credHelpers":{"c.example":"x"}}`),
	}}
	if got, err := s.Hosts(); err != nil || !reflect.DeepEqual(got, []string{"b.example", "c.example", "docker.io"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSlowHelper: one that does not answer is ended, with what it started, and that
// is not waited for where it lives on with its output in hand.
func TestSlowHelper(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	helper(t, "slow", "sleep 30 & echo $! >"+child+"; exec sleep 30")
	t.Cleanup(func() {
		text, _ := os.ReadFile(child)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		// A dead one is somebody's child until he has heard of it.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if lives := err == nil && !strings.Contains(string(stat), ") Z "); lives != inForeground() {
			t.Errorf("what the helper started lives: %v: %s", lives, stat)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	s := &Set{Files: []string{write(t, "config.json", `{"credHelpers":{"a.example":"slow"}}`)}}
	if _, err := s.Find(ctx, "a.example", "x"); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestSaveAtOnce: none of several logins at once is lost.
func TestSaveAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := (&Set{Files: []string{path}}).Save(context.Background(), fmt.Sprintf("%d.example", i), someone, path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if hosts, err := (&Set{Files: []string{path}}).Hosts(); err != nil || len(hosts) != 20 {
		t.Errorf("%d are kept, %v: %q", len(hosts), err, hosts)
	}
}

func FuzzAuthFile(f *testing.F) {
	for _, seed := range []string{
		"", "{}", authJSON("https://index.docker.io/v1/", "u", "p"), `{"auths":null,"credsStore":"x"}`,
		`{"auths":{"quay.io/a":{"auth":"dTpw"}},"credHelpers":{"quay.io":"x"},"HttpHeaders":{"A":"b"}}`, `{"auths":{"":{}}}`,
	} {
		f.Add([]byte(seed), "quay.io")
	}
	f.Fuzz(func(t *testing.T, text []byte, host string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "config.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before, _, err := read(path)
		if err != nil || host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.:-") != "" || PlainKey(host) != host {
			return
		}
		err = edit(path, func(auths map[string]json.RawMessage) error { return put(auths, path, host, entryOf(someone)) })
		if err != nil {
			t.Fatalf("it can be read and not written: %v", err)
		}
		after, _, err := read(path)
		if err != nil {
			t.Fatal(err)
		}
		if login, err := after.inline(host, ""); err != nil || login != someone {
			t.Errorf("%+v, %v", login, err)
		}
		delete(before.auths, host)
		delete(after.auths, host)
		if !maps.Equal(before.helpers, after.helpers) || before.store != after.store || len(before.auths) != len(after.auths) {
			t.Errorf("%+v became %+v", before, after)
		}
	})
}
