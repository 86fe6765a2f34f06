package registry

import (
	"net/http"
	"strings"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	cases := []struct {
		header string
		want   []challenge
	}{
		{`Basic realm="x"`, []challenge{{"basic", map[string]string{"realm": "x"}}}},
		{
			`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"`,
			[]challenge{{"bearer", map[string]string{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:a/b:pull,push"}}},
		},
		{`bearer realm=https://a.example/t?x=1&y=2,service=s`, []challenge{{"bearer", map[string]string{"realm": "https://a.example/t?x=1&y=2", "service": "s"}}}},
		{`Negotiate, Basic realm="a\"b, c"`, []challenge{{"negotiate", map[string]string{}}, {"basic", map[string]string{"realm": `a"b, c`}}}},
		{`Basic realm="a", Bearer Realm = "b" , service="c"`, []challenge{{"basic", map[string]string{"realm": "a"}}, {"bearer", map[string]string{"realm": "b", "service": "c"}}}},
		{`Bearer realm="first",realm="second"`, []challenge{{"bearer", map[string]string{"realm": "first"}}}},
		{`Bearer realm="never closed`, []challenge{{"bearer", map[string]string{"realm": "never closed"}}}},
		{``, nil},
		{`="x"`, nil},
		{`"quoted"`, nil},
	}
	for _, c := range cases {
		got := parseChallenges(c.header)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", c.header, got)
			continue
		}
		for i := range got {
			if got[i].scheme != c.want[i].scheme || len(got[i].params) != len(c.want[i].params) {
				t.Errorf("%s: %+v", c.header, got)
			}
			for name, value := range c.want[i].params {
				if got[i].params[name] != value {
					t.Errorf("%s: %s is %q", c.header, name, got[i].params[name])
				}
			}
		}
	}
}

// FuzzChallenges reads a header that anybody may have written: within bounds, no
// longer than the header, and no realm but one that can be checked.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull"`,
		`Basic realm="x"`, `Negotiate, Basic realm="a\"b"`, `Bearer realm=`, `Bearer realm="\`, `,,,`, `a b c=d,e="f`,
		strings.Repeat("Basic ", 100), `Bearer realm="http://[::1"`, "Bearer realm=\"\x00\x1b[31m\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		all := parseChallenges(header)
		if len(all) > maxChallenges {
			t.Fatalf("%d challenges", len(all))
		}
		size := 0
		for _, c := range all {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) {
				t.Errorf("scheme %q", c.scheme)
			}
			for name, value := range c.params {
				if name == "" || name != strings.ToLower(name) {
					t.Errorf("name %q", name)
				}
				size += len(value)
			}
		}
		if size > len(header) {
			t.Errorf("%d bytes of values from a header of %d", size, len(header))
		}
		c, ok := challengeOf(http.Header{"Www-Authenticate": {header}})
		if !ok {
			return
		}
		if found, err := (Config{}).realmOf(c, "registry.example"); err == nil && found.url.Scheme != "https" && !isLoopback(found.url.Host) {
			t.Errorf("a token is asked of %s", found.url)
		}
	})
}

func TestParseRanges(t *testing.T) {
	for text, want := range map[string]contentRange{
		"bytes 0-9/10": {0, 9, 10}, "bytes 5-9/*": {5, 9, -1}, "Bytes 0-0/1": {0, 0, 1},
	} {
		if got, err := parseContentRange(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		"", "bytes", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "bytes -1-5/10", "bytes 0-9", "items 0-9/10", "bytes 0-9/+10",
		"bytes 0-99999999999999999999/*", "bytes 0 - 9/10", "bytes=0-9/10", "bytes 0-9/10/11", "bytes 0x0-9/10",
	} {
		if got, err := parseContentRange(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	for text, want := range map[string]int64{"0-9": 10, "bytes=0-9": 10, "0-0": 0} {
		if got, err := parseUploadRange(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "1-9", "0-", "-9", "9", "0-9223372036854775807"} {
		if got, err := parseUploadRange(bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

// FuzzRanges reads the headers by which a transfer is taken up again.
func FuzzRanges(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 5-9/*", "0-9", "bytes=0-9", "bytes */10", "-", "0-0", "bytes 9-0/10", "bytes 0-9223372036854775807/*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseContentRange(text); err == nil && (r.first < 0 || r.last < r.first || r.last+1 < 0 || r.size >= 0 && r.last >= r.size) {
			t.Errorf("%q: %+v", text, r)
		}
		if have, err := parseUploadRange(text); err == nil && have < 0 {
			t.Errorf("%q: %d", text, have)
		}
	})
}
