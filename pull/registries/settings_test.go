package registries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rootlet/pull"
	"rootlet/pull/registry"
)

// host is a machine with these files, by path: ~ is the user's home.
type host struct {
	t    *testing.T
	dir  string
	env  map[string]string
	more Options
}

func newHost(t *testing.T, files map[string]string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	h.env = map[string]string{"HOME": filepath.Join(h.dir, "home")}
	for path, text := range files {
		path = filepath.Join(h.dir, strings.Replace(path, "~", "/home", 1))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *host) read() (*Settings, error) {
	o := h.more
	o.Getenv, o.UID, o.Root = func(name string) string { return h.env[name] }, 1000, h.dir
	return Read(o)
}

func (h *host) mustRead() *Settings {
	h.t.Helper()
	s, err := h.read()
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// places is the list for a name, one word a place: "mirror:" before a mirror, "!"
// behind one that is insecure.
func (h *host) places(name string) string {
	h.t.Helper()
	ref, err := pull.ParseReference(name)
	if err != nil {
		h.t.Fatal(err)
	}
	list, err := h.mustRead().Endpoints(context.Background(), ref, nil)
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, c := range list {
		word := c.Host + "/" + c.Repository
		if c.Mirror {
			word = "mirror:" + word
		}
		if c.Insecure {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

const userConf, systemConf = "~/.config/containers/registries.conf", "/etc/containers/registries.conf"

var digest = "@sha256:" + strings.Repeat("a", 64)

func TestEndpoints(t *testing.T) {
	h := newHost(t, map[string]string{userConf: `
[[registry]]
prefix = "example.com/foo"
location = "internal.example.com/bar"
[[registry.mirror]]
location = "mirror-0.local/mirror-for-foo"
[[registry.mirror]]
location = "mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "hub.local:5000"

[[registry]]
location = "docker.io/library/special/"
insecure = true

[[registry]]
prefix = "*.wild.example"
insecure = true
[[registry]]
prefix = "*.moved.wild.example"
location = "moved.example/there"
[[registry]]
prefix = "bad.wild.example"
blocked = true

[[registry]]
location = "digest.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "d.local"
[[registry]]
location = "choosy.example"
[[registry.mirror]]
location = "tags.local"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "digests.local"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "all.local"
pull-from-mirror = "all"

[[registry]]
prefix = "old.example"
location = "docker.io"

[[registry]]
prefix = "one.example/a:1"
location = "two.example/a:2"
`})
	for name, want := range map[string]string{
		"example.com/foo/image:1":      "mirror:mirror-0.local/mirror-for-foo/image mirror:mirror-1.local/mirrors/foo/image! internal.example.com/bar/image",
		"example.com/foo":              "mirror:mirror-0.local/mirror-for-foo mirror:mirror-1.local/mirrors/foo! internal.example.com/bar",
		"example.com/foobar":           "example.com/foobar",
		"example.com:5000/foo":         "example.com:5000/foo",
		"debian":                       "mirror:hub.local:5000/library/debian docker.io/library/debian",
		"some/image":                   "mirror:hub.local:5000/some/image docker.io/some/image",
		"special":                      "docker.io/library/special!",
		"a.wild.example/x":             "a.wild.example/x!",
		"a.b.wild.example:5000/x":      "a.b.wild.example:5000/x!",
		"wild.example/x":               "wild.example/x",
		"notwild.example/x":            "notwild.example/x",
		"a.moved.wild.example/x":       "moved.example/there/x",
		"bad.wild.example/x":           "bad.wild.example/x:latest: registry bad.wild.example is blocked by " + h.dir + "/home/.config/containers/registries.conf",
		"digest.example/x":             "digest.example/x",
		"digest.example/x" + digest:    "mirror:d.local/x digest.example/x",
		"choosy.example/x":             "mirror:tags.local/x mirror:all.local/x choosy.example/x",
		"choosy.example/x:2" + digest:  "mirror:digests.local/x mirror:all.local/x choosy.example/x",
		"old.example/x":                "docker.io/library/x",
		"one.example/a:1":              h.dir + "/home/.config/containers/registries.conf: location two.example/a:2 names another image than one.example/a:1",
		"other.example/deep/path/here": "other.example/deep/path/here",
	} {
		if got := h.places(name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestVerifyCountsForAll(t *testing.T) {
	h := newHost(t, map[string]string{userConf: "[[registry]]\nlocation='a.example'\ninsecure=true\n[[registry.mirror]]\nlocation='m.example'\n"})
	ref, _ := pull.ParseReference("a.example/x")
	for _, verify := range []bool{true, false} {
		list, err := h.mustRead().Endpoints(context.Background(), ref, &verify)
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, c := range list {
			if c.Insecure == verify {
				t.Errorf("%s: insecure is %v under --tls-verify=%v", c.Host, c.Insecure, verify)
			}
		}
	}
}

func TestEndpointForPush(t *testing.T) {
	h := newHost(t, map[string]string{userConf: "[[registry]]\nprefix='a.example'\nlocation='b.example/c'\n[[registry.mirror]]\nlocation='m.example'\n"})
	ref, _ := pull.ParseReference("a.example/x")
	c, err := h.mustRead().Endpoint(context.Background(), ref, nil)
	if err != nil || c.Host != "b.example" || c.Repository != "c/x" || c.Mirror {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDockerMirrors(t *testing.T) {
	h := newHost(t, map[string]string{userConf: "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='second.local'\n"})
	h.more = Options{Mirrors: []string{"https://first.local/", "http://plain.local:5000"}, Insecure: []string{"reg.example:5000", "10.0.0.0/8"}}
	for name, want := range map[string]string{
		"debian":             "mirror:first.local/library/debian mirror:plain.local:5000/library/debian! mirror:second.local/library/debian docker.io/library/debian",
		"quay.io/x":          "quay.io/x",
		"reg.example:5000/x": "reg.example:5000/x!",
		"reg.example/x":      "reg.example/x",
		"10.1.2.3:5000/x":    "10.1.2.3:5000/x!",
		"11.1.2.3:5000/x":    "11.1.2.3:5000/x",
	} {
		if got := h.places(name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	for _, bad := range []string{"first.local", "ftp://a.local", "https://", "https://a.local/path", "https://u:p@a.local", "https://a"} {
		h.more.Mirrors = []string{bad}
		if _, err := h.read(); err == nil || !strings.Contains(err.Error(), "registry-mirrors") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWhichFilesCount(t *testing.T) {
	named := func(location string) string {
		return fmt.Sprintf("[[registry]]\nprefix='a.example'\nlocation=%q\n", location)
	}
	const dropIn = "containers/registries.conf.d/"
	for what, c := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  string
	}{
		"none":               {nil, nil, "a.example/x"},
		"system":             {map[string]string{systemConf: named("s.example")}, nil, "s.example/x"},
		"vendor":             {map[string]string{"/usr/share/containers/registries.conf": named("v.example")}, nil, "v.example/x"},
		"user for system":    {map[string]string{systemConf: named("s.example"), userConf: ""}, nil, "a.example/x"},
		"drop-in":            {map[string]string{systemConf: named("s.example"), "/etc/" + dropIn + "1.conf": named("d.example")}, nil, "d.example/x"},
		"last drop-in":       {map[string]string{"/etc/" + dropIn + "2.conf": named("d2.example"), "~/.config/" + dropIn + "1.conf": named("d1.example")}, nil, "d2.example/x"},
		"same name":          {map[string]string{"/etc/" + dropIn + "1.conf": named("etc.example"), "~/.config/" + dropIn + "1.conf": named("home.example")}, nil, "home.example/x"},
		"not .conf":          {map[string]string{"/etc/" + dropIn + "1.conf.bak": named("d.example")}, nil, "a.example/x"},
		"rootless drop-in":   {map[string]string{"/etc/containers/registries.rootless.conf.d/1000/1.conf": named("r.example"), "/etc/containers/registries.rootful.conf.d/2.conf": named("root.example")}, nil, "r.example/x"},
		"variable":           {map[string]string{userConf: named("u.example"), "/etc/" + dropIn + "1.conf": named("d.example"), "/mine": named("env.example")}, map[string]string{"CONTAINERS_REGISTRIES_CONF": "/mine"}, "env.example/x"},
		"overriding":         {map[string]string{userConf: named("u.example"), "/mine": named("env.example")}, map[string]string{"CONTAINERS_REGISTRIES_CONF_OVERRIDE": "/mine"}, "env.example/x"},
		"XDG_CONFIG_HOME":    {map[string]string{userConf: named("u.example"), "/xdg/containers/registries.conf": named("x.example")}, map[string]string{"XDG_CONFIG_HOME": "/xdg"}, "x.example/x"},
		"a file, not a dir.": {map[string]string{"~/.config/containers": ""}, nil, "a.example/x"},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHost(t, c.files)
			for name, path := range c.env {
				h.env[name] = h.dir + path
			}
			if got := h.places("a.example/x"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	h := newHost(t, map[string]string{"/.config/containers/registries.conf": named("cwd.example"), "/.cache/containers/short-name-aliases.conf": "nonsense"})
	h.env = map[string]string{}
	t.Chdir(h.dir)
	if got := h.places("a.example/x"); got != "a.example/x" {
		t.Errorf("without a HOME, the working directory counts: %s", got)
	}
	h = newHost(t, nil)
	h.env["CONTAINERS_REGISTRIES_CONF"] = "/not/there"
	if _, err := h.read(); err == nil {
		t.Error("a file that the user names and that is not there is passed over")
	}
}

func TestNames(t *testing.T) {
	const search = "unqualified-search-registries = ['one.example', 'two.example:5000']\n"
	const aliases = "[aliases]\n'short' = 'quay.io/team/short'\n'some/thing' = 'docker.io/other'\n"
	for _, c := range []struct{ conf, name, want string }{
		{"", "debian", "docker.io/library/debian:latest"},
		{aliases, "debian:12", "docker.io/library/debian:12"},
		{aliases, "short", "quay.io/team/short:latest"},
		{aliases, "short:3", "quay.io/team/short:3"},
		{aliases, "short" + digest, "quay.io/team/short" + digest},
		{aliases, "some/thing:1", "docker.io/library/other:1"},
		{aliases, "docker.io/short", "docker.io/library/short:latest"},
		{search, "debian:12", "one.example/debian:12 two.example:5000/debian:12"},
		{search, "quay.io/x", "quay.io/x:latest"},
		{search, "docker.io/x", "docker.io/library/x:latest"},
		{search, "index.docker.io/x", "docker.io/library/x:latest"},
		{search, "localhost/x", "localhost/x:latest"},
		{"unqualified-search-registries = ['docker.io']\nshort-name-mode='enforcing'", "x", "docker.io/library/x:latest"},
		{search + "short-name-mode='enforcing'\n" + aliases, "short", "quay.io/team/short:latest"},
		{search + "short-name-mode='enforcing'\n", "x", "x: which registry is unclear, and short-name-mode is enforcing: one.example, two.example:5000"},
		{search, "UPPER", `image reference "UPPER": repository name "UPPER" must be lower case`},
	} {
		refs, err := newHost(t, map[string]string{userConf: c.conf}).mustRead().Names(c.name)
		var got []string
		for _, ref := range refs {
			got = append(got, ref.Name())
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%q, %s:\n got %s\nwant %s", c.conf, c.name, text, c.want)
		}
	}
}

func TestAliasesOfSeveralFiles(t *testing.T) {
	h := newHost(t, map[string]string{
		systemConf: "[aliases]\n'a' = 'sys.example/a'\n'b' = 'sys.example/b'\n'c' = 'sys.example/c'\n",
		"/etc/containers/registries.conf.d/1.conf":    "[aliases]\n'a' = ''\n'b' = 'drop.example/b'\n",
		"~/.cache/containers/short-name-aliases.conf": "[aliases]\n'c' = 'learned.example/c'\n",
	})
	s := h.mustRead()
	if want := map[string]string{"b": "drop.example/b", "c": "learned.example/c"}; !reflect.DeepEqual(s.conf.aliases, want) {
		t.Errorf("%v", s.conf.aliases)
	}
}

func TestRefusedConf(t *testing.T) {
	for text, want := range map[string]string{
		"[registries.search]\nregistries = ['a.example']":                                                       "version 1",
		"[[registry]]\ninsecure = true":                                                                         "neither prefix nor location",
		"[[registry]]\nlocation = 'https://a.example'":                                                          "without http",
		"[[registry]]\nlocation = 'plain'":                                                                      "dot or a port",
		"[[registry]]\nprefix = 'a.*.example'\nlocation='b.example'":                                            "stands for",
		"[[registry]]\nprefix = '*.example/x'":                                                                  "stands for",
		"[[registry]]\nlocation='a.example'\n[[registry]]\nlocation='a.example'":                                "two [[registry]] tables",
		"[[registry]]\nlocation='a.example'\n[[registry.mirror]]\ninsecure=true":                                "mirror location is empty",
		"[[registry]]\nlocation='a.example'\n[[registry.mirror]]\nlocation='b.example'\npull-from-mirror='now'": "want all, digest-only or tag-only",

		"[[registry]]\nlocation='a.example'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='b.example'\npull-from-mirror='all'": "mirror-by-digest-only",

		"[[registry]]\nlocation='a.example'\ninsecure='yes'": "line 3",
		"short-name-mode = 'maybe'":                          "enforcing, permissive or disabled",
		"unqualified-search-registries = ['x/y']":            "not a registry host",
		"a = [": "line 1",
		"[aliases]\n'a.example/x' = 'b.example/y'": "alias",
		"[aliases]\n'x:1' = 'b.example/y'":         "alias",
		"[aliases]\n'x' = 'y'":                     "alias",
		"[aliases]\n'x' = 'b.example/y:1'":         "alias",
	} {
		h := newHost(t, map[string]string{userConf: text})
		if _, err := h.read(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "registries.conf") {
			t.Errorf("%q: %v, want %q and the file's name", text, err, want)
		}
	}
}

func TestBlockedIsTyped(t *testing.T) {
	h := newHost(t, map[string]string{userConf: "[[registry]]\nlocation='a.example'\nblocked=true\n"})
	ref, _ := pull.ParseReference("a.example/x")
	_, err := h.mustRead().Endpoints(context.Background(), ref, nil)
	var blocked *BlockedError
	if !errors.As(err, &blocked) || blocked.Prefix != "a.example" {
		t.Errorf("%v", err)
	}
}

func TestCertificates(t *testing.T) {
	h := newHost(t, map[string]string{
		"/etc/docker/certs.d/a.example:5000/ca.crt":                    "docker",
		"/etc/containers/certs.d/a.example/ca.crt":                     "system",
		"~/.config/containers/certs.d/a.example/ca.crt":                "mine",
		"~/.config/containers/certs.d/a.example/other.crt":             "other",
		"~/.config/containers/certs.d/a.example/client.cert":           "cert",
		"~/.config/containers/certs.d/a.example/client.key":            "key",
		"~/.config/docker/certs.d/nokey.example/client.cert":           "cert",
		"~/.config/docker/certs.d/nocert.example/client.key":           "key",
		"~/.config/containers/certs.d/a.example/README":                "x",
		"/etc/containers/certs.rootless.d/1000/rootless.example/x.crt": "rootless",
	})
	s := h.mustRead()
	bytes := func(texts ...string) (all [][]byte) {
		for _, text := range texts {
			all = append(all, []byte(text))
		}
		return all
	}
	for host, want := range map[string]registry.TLS{
		"a.example:5000":   {CAs: bytes("docker")},
		"a.example":        {CAs: bytes("mine", "other"), Keys: []registry.KeyPair{{Certificate: []byte("cert"), Key: []byte("key")}}},
		"rootless.example": {CAs: bytes("rootless")},
		"b.example":        {},
		"..":               {},
	} {
		if got, err := s.certificates(host); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s, %v", host, got, err)
		}
	}
	for _, host := range []string{"nokey.example", "nocert.example"} {
		if _, err := s.certificates(host); err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestEndpointsHaveLogins(t *testing.T) {
	h := newHost(t, map[string]string{
		userConf:                "[[registry]]\nlocation='a.example'\n[[registry.mirror]]\nlocation='m.example/cache'\n",
		"~/.docker/config.json": `{"auths":{"a.example":{"username":"for-a","password":"x"},"m.example/cache":{"username":"for-m","password":"x"}}}`,
	})
	ref, _ := pull.ParseReference("a.example/x")
	list, err := h.mustRead().Endpoints(context.Background(), ref, nil)
	if err != nil || len(list) != 2 || list[0].Login.Username != "for-m" || list[1].Login.Username != "for-a" {
		t.Errorf("%+v, %v", list, err)
	}
}

func FuzzRegistriesConf(f *testing.F) {
	for _, seed := range []string{
		"", "unqualified-search-registries = ['a.example']\nshort-name-mode='disabled'",
		"[[registry]]\nprefix='*.example'\n[[registry.mirror]]\nlocation='m.example/x'\npull-from-mirror='tag-only'",
		"[[registry]]\nprefix='docker.io/library/x:1'\nlocation='b.example/y:1'\nblocked=false",
		"[aliases]\n'x'='b.example/y'", "[registries.search]\n", "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='[::1]:5000'",
	} {
		f.Add(seed, "x:1")
	}
	f.Add("[[registry]]\nprefix='*.b.example'\nlocation='c.example'", "a.b.example/x")
	f.Fuzz(func(t *testing.T, text, name string) {
		c := &conf{aliases: map[string]string{}, rules: map[string]rule{}}
		if c.add("/f", text) != nil {
			return
		}
		refs, err := (&Settings{conf: c}).Names(name)
		if err != nil {
			return
		}
		for _, ref := range refs {
			r, found := c.rule(ref)
			if !found || r.Blocked {
				continue
			}
			list, err := mirrored(append(r.Mirrors, mirror{Location: r.Location}), r, ref)
			if err != nil {
				continue
			}
			for _, l := range list {
				if _, err := pull.ParseReference(l.host + "/" + l.repository); err != nil {
					t.Errorf("%s leads to %+v, which is no repository", ref, l)
				}
			}
		}
	})
}

func TestContainerdHosts(t *testing.T) {
	const certs = "~/.config/containerd/certs.d/"
	h := newHost(t, map[string]string{
		certs + "docker.io/hosts.toml": `
server = "https://registry-1.docker.io"
[host."https://second.local:5000"]
capabilities = ["pull", "resolve"]
ca = "ca.pem"
client = [["client.pem", "/etc/key.pem"], ["both.pem"]]
[host."http://first.local"]
[host."https://push.local"]
capabilities = ["push"]
`,
		certs + "docker.io/ca.pem": "ca", certs + "docker.io/client.pem": "cert", certs + "docker.io/both.pem": "both",
		certs + "a.example/hosts.toml":    "skip_verify = true\n",
		certs + "conf.example/hosts.toml": "[host.'https://not-this.local']\n",
		userConf:                          "[[registry]]\nlocation='conf.example'\n",
	})
	for name, want := range map[string]string{
		"debian":         h.dir + "/etc/key.pem",
		"a.example/x":    "a.example/x!",
		"b.example/x":    "b.example/x",
		"conf.example/x": "conf.example/x",
	} {
		if got := h.places(name); got != want && !(name == "debian" && strings.Contains(got, "/etc/key.pem")) {
			t.Errorf("%s: %s", name, got)
		}
	}
	path := filepath.Join(h.dir, "home/.config/containerd/certs.d/docker.io/hosts.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "/etc/key.pem", "client.pem", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := h.places("debian"), "mirror:second.local:5000/library/debian mirror:first.local/library/debian! docker.io/library/debian"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	ref, _ := pull.ParseReference("debian")
	list, err := h.mustRead().Endpoints(context.Background(), ref, nil)
	want := registry.TLS{CAs: [][]byte{[]byte("ca")}, Keys: []registry.KeyPair{{Certificate: []byte("cert"), Key: []byte("cert")}, {Certificate: []byte("both"), Key: []byte("both")}}}
	if err != nil || !reflect.DeepEqual(list[0].TLS, want) {
		t.Errorf("%s, %v", list[0].TLS, err)
	}
	for text, want := range map[string]string{
		"[host.'second.local']":                              "want https://",
		"[host.'https://second.local/other']":                "no other path",
		"[host.'https://s.local']\noverride_path = true":     "no other path",
		"[host.'https://s.local']\nclient = [['a','b','c']]": "a certificate and its key",
		"[host.'https://s.local']\nca = 'not-there'":         "not-there",
		"server = 'ftp://x.local'":                           "want https://",
		"server = 1":                                         "line 1",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := h.places("debian"); !strings.Contains(got, want) || !strings.Contains(got, "certs.d/docker.io/") {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestDescribe(t *testing.T) {
	h := newHost(t, map[string]string{
		userConf:                "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='b.example'\n[[registry]]\nlocation='bad.example'\nblocked=true\n",
		"~/.docker/config.json": "{}",
		"~/.config/containers/certs.d/a.example/ca.crt":     "x",
		"~/.config/containerd/certs.d/c.example/hosts.toml": "",
	})
	h.more.Mirrors = []string{"http://a.example:1"}
	home := h.dir + "/home/"
	want := Description{
		Files:     []string{home + ".config/containers/registries.conf", home + ".config/containerd/certs.d/c.example/hosts.toml"},
		AuthFiles: []string{home + ".docker/config.json"},
		CertDirs:  []string{home + ".config/containers/certs.d/a.example"},
		Registries: []Registry{
			{Prefix: "docker.io", Location: "docker.io", Mirrors: []string{"http://a.example:1/", "https://b.example/"}},
			{Prefix: "bad.example", Location: "bad.example", Blocked: true, Mirrors: []string{}},
		},
	}
	if got := h.mustRead().Describe(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// What is wrong in one file does not hide what is in others.
func TestDescribeWhatCanBeRead(t *testing.T) {
	h := newHost(t, map[string]string{
		userConf: "[[registry]\n",
		"~/.config/containers/registries.conf.d/a.conf": "[[registry]]\nlocation='a.example'\nblocked=true\n",
		"~/.docker/config.json":                         "{}",
	})
	h.more.Mirrors = []string{"no mirror"}
	if _, err := h.read(); err == nil || !strings.Contains(err.Error(), "no mirror") {
		t.Error(err)
	}
	h.more.Mirrors = nil
	s, err := h.read()
	if err == nil || !strings.Contains(err.Error(), "registries.conf: line 2") {
		t.Error(err)
	}
	d := s.Describe()
	if len(d.Files) != 1 || !strings.HasSuffix(d.Files[0], "/a.conf") || len(d.AuthFiles) != 1 || len(d.Registries) != 2 || !d.Registries[1].Blocked {
		t.Errorf("%+v", d)
	}
}
