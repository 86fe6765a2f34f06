package pull

import (
	"regexp"
	"strings"
	"testing"

	"rootlet/pull/grammar"
)

func TestParseReference(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	cases := []struct{ in, name, familiar string }{
		{"debian", "docker.io/library/debian:latest", "debian:latest"},
		{"debian:12", "docker.io/library/debian:12", "debian:12"},
		{"debian@" + digest, "docker.io/library/debian@" + digest, "debian@" + digest},
		{"debian:12@" + digest, "docker.io/library/debian@" + digest, "debian@" + digest},
		{"library/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"index.docker.io/library/debian:1", "docker.io/library/debian:1", "debian:1"},
		{"user/app", "docker.io/user/app:latest", "user/app:latest"},
		{"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
		{"user/a/b:t", "docker.io/user/a/b:t", "user/a/b:t"},
		{"docker.io/foo.bar/x", "docker.io/foo.bar/x:latest", "docker.io/foo.bar/x:latest"},
		{"docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"},
		{"localhost/app", "localhost/app:latest", "localhost/app:latest"},
		{"localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"},
		{"127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest"},
		{"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
		{"quay.io/team/app:v1.2-rc_3", "quay.io/team/app:v1.2-rc_3", "quay.io/team/app:v1.2-rc_3"},
		{"Upper/app", "Upper/app:latest", "Upper/app:latest"}, // a capital makes it a host
		{"a__b/c--d/e.f", "docker.io/a__b/c--d/e.f:latest", "a__b/c--d/e.f:latest"},
		{"host.example:80/x:_", "host.example:80/x:_", "host.example:80/x:_"},
		{strings.Repeat("a", 247), "docker.io/library/" + strings.Repeat("a", 247) + ":latest", strings.Repeat("a", 247) + ":latest"},
	}
	for _, c := range cases {
		ref, err := ParseReference(c.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if ref.Name() != c.name || ref.Familiar() != c.familiar || ref.String() != c.familiar {
			t.Errorf("%s: %s, %s; want %s, %s", c.in, ref.Name(), ref.Familiar(), c.name, c.familiar)
		}
	}
}

func TestParseReferenceParts(t *testing.T) {
	ref := mustParse(t, "quay.io:443/team/app:v1")
	if ref.Registry() != "quay.io:443" || ref.Repository() != "team/app" || ref.Tag() != "v1" || ref.Digest() != "" || ref.identifier() != "v1" {
		t.Errorf("%+v", ref)
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	ref = mustParse(t, "debian:12@"+digest)
	if ref.Registry() != "docker.io" || ref.Repository() != "library/debian" || ref.Tag() != "" || ref.Digest() != digest || ref.identifier() != digest {
		t.Errorf("%+v", ref)
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	cases := []struct{ in, word string }{
		{"", "empty"},
		{"Debian", "lower case"},
		{"docker.io/Debian", "lower case"},
		{"quay.io/Team/app", "lower case"},
		{"debian:", "tag"},
		{"debian:a:b", "tag"},
		{"debian:-x", "tag"},
		{"debian:" + strings.Repeat("a", 129), "tag"},
		{":latest", "no repository name"},
		{"/debian", "not a repository name"},
		{"debian/", "not a repository name"},
		{"a//b", "not a repository name"},
		{"a/../b", "not a repository name"},
		{"../etc", "host"},
		{"a_.b", "not a repository name"},
		{"-a/b", "not a repository name"},
		{" debian", "not a repository name"},
		{"debian\n", "not a repository name"},
		{"docker.io/", "no repository name"},
		{"bad_host.example/x", "host"},
		{"host.example:port/x", "host"},
		{"[::1/x", "host"},
		{"https://docker.io/debian", "host"},
		{"debian@", "digest"},
		{"debian@sha256:abc", "digest"},
		{"debian@sha256:" + strings.Repeat("A", 64), "digest"},
		{"debian@sha512:" + strings.Repeat("a", 128), "digest"},
		{"debian@sha256:../../../../" + strings.Repeat("a", 52), "digest"},
		{"debian@sha256:" + strings.Repeat("a", 64) + "@x", "digest"},
		{strings.Repeat("a", 64), "image id"},
		{strings.Repeat("b", 256), "longer"},
	}
	for _, c := range cases {
		ref, err := ParseReference(c.in)
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%q: %+v, error %v; want one with %q", c.in, ref, err, c.word)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"debian", "localhost:5000/a/b:c", "a@sha256:" + strings.Repeat("a", 64), "[::1]:80/x", "docker.io/localhost/x", "A/b", "a__b/c---d/e.f", "a_-b", "host.example:80", "[::A]"} {
		f.Add(s)
	}
	// The grammar as distribution/reference writes it.
	oracles := map[*regexp.Regexp]func(string) bool{
		regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`): grammar.IsHost,
		regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$`):                                          grammar.IsPath,
		regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$`):                                                                                         grammar.IsTag,
		regexp.MustCompile(`^sha256:[0-9a-f]{64}$`):                                                                                                       grammar.IsDigest,
	}
	f.Fuzz(func(t *testing.T, s string) {
		for form, is := range oracles {
			if want := form.MatchString(s); is(s) != want {
				t.Errorf("%q matches %s: %v, and we say otherwise", s, form, want)
			}
		}
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		for _, form := range []string{ref.Name(), ref.Familiar()} {
			again, err := ParseReference(form)
			if err != nil || again != ref {
				t.Errorf("%q gives %q, which gives %+v, %v", s, form, again, err)
			}
		}
		for _, part := range strings.Split(ref.Repository(), "/") {
			if part == "" || part == "." || part == ".." {
				t.Errorf("%q has a repository with the part %q", s, part)
			}
		}
	})
}
