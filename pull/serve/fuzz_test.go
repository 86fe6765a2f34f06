package serve

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzRoute(f *testing.F) {
	for _, path := range []string{
		"/v2/", "/v2", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/b/manifests/v1", "/v2/a/blobs/sha256:00", "/v2/a/blobs/uploads/",
		"/v2/a/blobs/uploads", "/v2/a/blobs/uploads/00", "/v2/blobs/uploads/x", "/v2//blobs/x", "/v2/../../etc/manifests/passwd", "/v2/a/referrers/sha256:00", "/v22", "",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := findRoute(path)
		if r.kind <= toCatalog {
			if r.name != "" || r.reference != "" {
				t.Errorf("%q: %+v", path, r)
			}
			return
		}
		// Nothing is lost or made up: the parts are the path.
		between := map[kind]string{toTags: "/tags/list", toManifest: "/manifests/", toBlob: "/blobs/", toUpload: "/blobs/uploads/", toReferrers: "/referrers/"}[r.kind]
		again := "/v2/" + r.name + between + r.reference
		if r.kind == toUploads {
			again = strings.TrimSuffix(path, "/")
			between = "/blobs/uploads"
			if again != "/v2/"+r.name+between {
				t.Errorf("%q: %+v", path, r)
			}
		} else if again != path || strings.Contains(r.reference, "/") {
			t.Errorf("%q: %+v", path, r)
		}
		if ValidName(r.name) && !filepath.IsLocal(r.name) {
			t.Errorf("%q is a valid name", r.name)
		}
		if ValidName(r.name) && filepath.Clean(r.name) != r.name {
			t.Errorf("%q is a valid name, and %q too", r.name, filepath.Clean(r.name))
		}
		if ValidTag(r.reference) && (!filepath.IsLocal(r.reference) || filepath.Base(r.reference) != r.reference) {
			t.Errorf("%q is a valid tag", r.reference)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0", 64))
	f.Add("sha512:" + strings.Repeat("f", 128))
	f.Add("sha256:" + strings.Repeat("F", 64))
	f.Add("sha256:../../" + strings.Repeat("0", 58))
	f.Add(":")
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := ParseDigest(s)
		if !ok {
			return
		}
		if string(d) != s || d.Algorithm()+":"+d.Hex() != s || d.New() == nil || strings.ContainsAny(s, "/.\n") {
			t.Errorf("%q is a digest", s)
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-0", "0-1023", "5-4", "-1", "1-", "a-b", "0x1-0x2", "bytes 0-1/2", "1-2-3", "00-01", "9223372036854775807-9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseContentRange(s)
		if !ok {
			return
		}
		if c.first < 0 || c.length() <= 0 {
			t.Errorf("%q: %+v", s, c)
		}
		if again, ok := parseContentRange(fmt.Sprintf("%d-%d", c.first, c.last)); !ok || again != c {
			t.Errorf("%q: %+v and %+v", s, c, again)
		}
		if strings.Trim(s, "0123456789-") != "" {
			t.Errorf("%q has other characters", s)
		}
	})
}

func FuzzManifest(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0", 64)
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"`+digest+`"},"layers":[{"digest":"`+digest+`","urls":["x"]}]}`), "")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"`+digest+`"}],"subject":{"digest":"`+digest+`"}}`), ociIndex)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`), ociManifest)
	f.Add([]byte(`{"schemaVersion":2,"MediaType":"a","mediaType":"`+dockerList+`"}`), "application/json; charset=utf-8")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		m, err := ParseManifest(body, contentType)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Error("not JSON")
		}
		isIndex := m.MediaType == ociIndex || m.MediaType == dockerList
		if isIndex && len(m.Blobs) > 0 || !isIndex && len(m.Manifests) > 0 {
			t.Errorf("%s with %d blobs and %d manifests", m.MediaType, len(m.Blobs), len(m.Manifests))
		}
		for _, d := range append(append(m.Blobs, m.Manifests...), m.Digest) {
			if _, ok := ParseDigest(string(d)); !ok {
				t.Errorf("%q", d)
			}
		}
		// What is stored is read again by what it was stored as.
		if again, err := ParseManifest(body, m.MediaType); err != nil || again.MediaType != m.MediaType {
			t.Errorf("read again: %v", err)
		}
	})
}
