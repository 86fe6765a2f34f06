package serve_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rootlet/pull/serve"
)

// The four parts of the distribution specification 1.1, each endpoint with what
// it has to refuse. The names are those of the specification's sections.

func TestDeterminingSupport(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		c.do("GET", "/v2/", nil).is(http.StatusOK).has("Docker-Distribution-Api-Version", "registry/2.0")
		c.do("GET", "/v2", nil).is(http.StatusOK)
		c.do("GET", "/", nil).is(http.StatusNotFound)
		c.do("GET", "/v2/x", nil).is(http.StatusNotFound)
		c.do("POST", "/v2/", nil).is(http.StatusMethodNotAllowed).says("UNSUPPORTED")
	})
}

func TestPullingBlobs(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		content := bytes.Repeat([]byte("0123456789abcdef"), 128) // 2048 bytes
		d := c.push("some/repo", content)
		path := "/v2/some/repo/blobs/" + d
		c.do("GET", path, nil).is(http.StatusOK).equals(content).has("Docker-Content-Digest", d).has("Content-Length", "2048").has("ETag", `"`+d+`"`)
		c.do("HEAD", path, nil).is(http.StatusOK).equals(nil).has("Docker-Content-Digest", d).has("Content-Length", "2048")
		c.do("GET", path, nil, "If-None-Match", `"`+d+`"`).is(http.StatusNotModified)
		for header, want := range map[string]string{"500-1499": "500-1499", "500-": "500-2047", "-500": "1548-2047", "2000-5000": "2000-2047", "0-0": "0-0"} {
			var first, last int
			_, _ = fmt.Sscanf(want, "%d-%d", &first, &last)
			c.do("GET", path, nil, "Range", "bytes="+header).is(http.StatusPartialContent).equals(content[first:last+1]).
				has("Content-Range", "bytes "+want+"/2048").has("Content-Length", fmt.Sprint(last-first+1))
		}
		for _, header := range []string{"500-0", "5000-10000", "x-y", "--1"} {
			c.do("GET", path, nil, "Range", "bytes="+header).is(http.StatusRequestedRangeNotSatisfiable)
		}
		c.do("GET", "/v2/other/repo/blobs/"+d, nil).is(http.StatusNotFound).says("BLOB_UNKNOWN")
		c.do("HEAD", "/v2/some/repo/blobs/"+digest([]byte("?")), nil).is(http.StatusNotFound)
	})
}

func TestPullingManifests(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		m := c.pushImage("some/repo", "v1", nil)
		for _, reference := range []string{"v1", digest(m)} {
			path := "/v2/some/repo/manifests/" + reference
			for _, accept := range []string{manifestType, "*/*", "application/json, " + manifestType + ";q=0.5"} {
				c.do("GET", path, nil, "Accept", accept).is(http.StatusOK).equals(m).has("Content-Type", manifestType).
					has("Docker-Content-Digest", digest(m)).has("ETag", `"`+digest(m)+`"`)
			}
			c.do("HEAD", path, nil).is(http.StatusOK).equals(nil).has("Content-Type", manifestType).has("Content-Length", fmt.Sprint(len(m)))
		}
		c.do("GET", "/v2/some/repo/manifests/v1", nil, "Accept", indexType).is(http.StatusNotFound).says("MANIFEST_UNKNOWN")
		c.do("GET", "/v2/some/repo/manifests/"+digest(m), nil, "Accept", indexType).is(http.StatusOK)
		for _, reference := range []string{"v2", ".INVALID_MANIFEST_NAME", digest([]byte("?")), digest512(m)} {
			c.do("GET", "/v2/some/repo/manifests/"+reference, nil).is(http.StatusNotFound).says("MANIFEST_UNKNOWN")
			c.do("HEAD", "/v2/some/repo/manifests/"+reference, nil).is(http.StatusNotFound)
		}
		// A manifest is not a blob, nor a blob a manifest.
		c.do("GET", "/v2/some/repo/blobs/"+digest(m), nil).is(http.StatusNotFound)
		c.do("GET", "/v2/some/repo/manifests/"+digest([]byte("{}")), nil).is(http.StatusNotFound)
		c.do("POST", "/v2/other/blobs/uploads/?mount="+digest(m), nil).is(http.StatusAccepted)
	})
}

func TestPushingABlobMonolithically(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		for _, content := range [][]byte{[]byte("content"), []byte("{}"), {}} {
			for _, d := range []string{digest(content), digest512(content)} {
				c.do("PUT", c.begin("x")+"?digest="+d, content).is(http.StatusCreated).has("Docker-Content-Digest", d).has("Location", "/v2/x/blobs/"+d)
				c.do("GET", "/v2/x/blobs/"+d, nil).is(http.StatusOK).equals(content)
				if len(content) == 0 {
					continue // which is no content
				}
				c.do("POST", "/v2/y/blobs/uploads/?digest="+d, content).is(http.StatusCreated).has("Location", "/v2/y/blobs/"+d)
				c.do("GET", "/v2/y/blobs/"+d, nil).is(http.StatusOK).equals(content)
				wrong := append([]byte("not "), content...)
				c.do("POST", "/v2/z/blobs/uploads/?digest="+d, wrong).is(http.StatusBadRequest).says("DIGEST_INVALID")
				c.do("PUT", c.begin("z")+"?digest="+d, wrong).is(http.StatusBadRequest).says("DIGEST_INVALID")
				c.do("GET", "/v2/z/blobs/"+d, nil).is(http.StatusNotFound)
			}
		}
		c.do("POST", "/v2/x/blobs/uploads/?digest=sha256:no", []byte("x")).is(http.StatusBadRequest).says("DIGEST_INVALID")
		for _, bad := range []string{"", "sha256:no", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + strings.Repeat("A", 64), "sha256:../" + strings.Repeat("a", 61)} {
			c.do("PUT", c.begin("x")+"?digest="+url.QueryEscape(bad), []byte("x")).is(http.StatusBadRequest).says("DIGEST_INVALID")
		}
	})
}

func TestPushingABlobInChunks(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		content := []byte("first.second.third.")
		d := digest(content)
		at := c.begin("x")
		chunk := func(method, query string, first, last int) answer {
			return c.do(method, at+query, content[first:last+1], "Content-Range", fmt.Sprintf("%d-%d", first, last))
		}
		chunk("PATCH", "", 6, 12).is(http.StatusRequestedRangeNotSatisfiable).has("Range", "0-0")
		at = chunk("PATCH", "", 0, 5).is(http.StatusAccepted).has("Range", "0-5").location()
		chunk("PATCH", "", 0, 5).is(http.StatusRequestedRangeNotSatisfiable).has("Range", "0-5").says("BLOB_UPLOAD_INVALID")
		chunk("PUT", "?digest="+d, 13, 18).is(http.StatusRequestedRangeNotSatisfiable)
		at = c.do("GET", at, nil).is(http.StatusNoContent).has("Range", "0-5").location()
		c.do("PATCH", at, content[6:9], "Content-Range", "6-12").is(http.StatusBadRequest).says("SIZE_INVALID")
		for _, bad := range []string{"6", "-12", "12-6", "bytes 6-12/19", "6-12/19", "+6-12", "6-99999999999999999999"} {
			c.do("PATCH", at, content[6:13], "Content-Range", bad).is(http.StatusBadRequest).says("BLOB_UPLOAD_INVALID")
		}
		at = chunk("PATCH", "", 6, 12).is(http.StatusAccepted).has("Range", "0-12").location()
		chunk("PUT", "?digest="+d, 13, 18).is(http.StatusCreated).has("Docker-Content-Digest", d)
		c.do("GET", "/v2/x/blobs/"+d, nil).is(http.StatusOK).equals(content)
		c.do("GET", at, nil).is(http.StatusNotFound).says("BLOB_UPLOAD_UNKNOWN")

		// A stream has no Content-Range, and its PUT no content.
		at = c.do("PATCH", c.begin("y"), content).is(http.StatusAccepted).location()
		c.do("PUT", at+"?digest="+d, nil).is(http.StatusCreated)
		c.do("GET", "/v2/y/blobs/"+d, nil).is(http.StatusOK).equals(content)
		at = c.do("PATCH", c.begin("y"), content).is(http.StatusAccepted).location()
		c.do("PUT", at+"?digest="+digest([]byte("else")), nil).is(http.StatusBadRequest).says("DIGEST_INVALID")
		c.do("GET", at, nil).is(http.StatusNotFound)

		// sha512 is not what is hashed on the way.
		at = c.do("PATCH", c.begin("y"), content).is(http.StatusAccepted).location()
		c.do("PUT", at+"?digest="+digest512(content), nil).is(http.StatusCreated)
	})
}

func TestUploadsBelongToTheirRepository(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		at := c.begin("x")
		elsewhere := strings.Replace(at, "/x/", "/y/", 1)
		c.do("PATCH", elsewhere, []byte("x")).is(http.StatusNotFound).says("BLOB_UPLOAD_UNKNOWN")
		for _, id := range []string{"nonsense", "..", strings.Repeat("0", 32)} {
			c.do("GET", "/v2/x/blobs/uploads/"+id, nil).is(http.StatusNotFound)
		}
		c.do("DELETE", at, nil).is(http.StatusNoContent)
		c.do("GET", at, nil).is(http.StatusNotFound).says("BLOB_UPLOAD_UNKNOWN")
		c.do("DELETE", at, nil).is(http.StatusNotFound)
	})
}

func TestMountingABlob(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		content := []byte("shared")
		d := c.push("from/here", content)
		post := func(query string) answer { return c.do("POST", "/v2/to/there/blobs/uploads/?mount="+query, nil) }
		post(d + "&from=no/where").is(http.StatusAccepted).location()
		post(d + "&from=../etc").is(http.StatusAccepted).location()
		post(digest([]byte("?")) + "&from=from/here").is(http.StatusAccepted).location()
		post("sha256:no").is(http.StatusBadRequest).says("DIGEST_INVALID")
		c.do("GET", "/v2/to/there/blobs/"+d, nil).is(http.StatusNotFound)
		post(d+"&from=from/here").is(http.StatusCreated).has("Location", "/v2/to/there/blobs/"+d)
		c.do("GET", "/v2/to/there/blobs/"+d, nil).is(http.StatusOK).equals(content)

		// Automatic: from anywhere.
		c.do("POST", "/v2/third/blobs/uploads/?mount="+d, nil).is(http.StatusCreated).has("Location", "/v2/third/blobs/"+d)

		// Each repository has its own.
		c.do("DELETE", "/v2/from/here/blobs/"+d, nil).is(http.StatusAccepted)
		c.do("GET", "/v2/from/here/blobs/"+d, nil).is(http.StatusNotFound)
		c.do("GET", "/v2/third/blobs/"+d, nil).is(http.StatusOK).equals(content)
	})
}

func TestPushingManifests(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		config, layer := []byte("{}"), []byte("layer")
		put := func(reference string, body []byte, mediaType string) answer {
			return c.do("PUT", "/v2/x/manifests/"+reference, body, "Content-Type", mediaType)
		}
		m := manifest(config, [][]byte{layer}, nil)
		c.push("x", config)
		put("v1", m, manifestType).is(http.StatusBadRequest).says("MANIFEST_BLOB_UNKNOWN")
		c.do("GET", "/v2/x/manifests/v1", nil).is(http.StatusNotFound)
		c.push("elsewhere", layer)
		put("v1", m, manifestType).is(http.StatusBadRequest).says("MANIFEST_BLOB_UNKNOWN")
		c.push("x", layer)
		put("v1", m, manifestType).is(http.StatusCreated).has("Location", "/v2/x/manifests/"+digest(m)).has("OCI-Subject", "")
		put(digest512(m), m, manifestType).is(http.StatusCreated).has("Docker-Content-Digest", digest512(m))
		c.do("GET", "/v2/x/manifests/"+digest512(m), nil).is(http.StatusOK).equals(m).has("Docker-Content-Digest", digest512(m))
		put(digest(layer), m, manifestType).is(http.StatusBadRequest).says("DIGEST_INVALID")
		put("sha256:baddigeststring", m, manifestType).is(http.StatusBadRequest).says("DIGEST_INVALID")
		put(".bad", m, manifestType).is(http.StatusBadRequest).says("MANIFEST_INVALID")
		put(digest(m)+"?tag=a&tag=b", m, manifestType).is(http.StatusCreated).has("OCI-Tag", "a, b")
		c.do("GET", "/v2/x/manifests/b", nil).is(http.StatusOK).equals(m)
		put(digest(m)+"?tag=t"+strings.Repeat("&tag=t", 50), m, manifestType).is(http.StatusRequestURITooLong).says("MANIFEST_INVALID")

		put("none", manifest(config, nil, nil), manifestType).is(http.StatusCreated) // no layers
		put("v1", m, "").is(http.StatusCreated)
		put("v1", m, indexType).is(http.StatusBadRequest).says("MANIFEST_INVALID")
		put("v1", m, "text/html").is(http.StatusBadRequest).says("MANIFEST_INVALID")
		for _, bad := range []string{"", "{", "[]", "{}", `{"schemaVersion":1}`, `{"schemaVersion":2,"config":{"digest":"sha256:no"}}`} {
			put("v1", []byte(bad), manifestType).is(http.StatusBadRequest).says("MANIFEST_INVALID")
		}
		both := manifest(config, [][]byte{layer}, document{"manifests": []document{}})
		put("v1", both, manifestType).is(http.StatusBadRequest).says("MANIFEST_INVALID")

		// Foreign layers are elsewhere.
		foreign := descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", []byte("far"))
		put("far", manifest(config, nil, document{"layers": []document{foreign}}), manifestType).is(http.StatusCreated)

		large := manifest(config, nil, document{"annotations": document{"a": strings.Repeat("A", 4<<20-600)}})
		put("large", large, manifestType).is(http.StatusCreated)
		c.do("GET", "/v2/x/manifests/large", nil).is(http.StatusOK).equals(large)
		larger := manifest(config, nil, document{"annotations": document{"a": strings.Repeat("A", 4<<20)}})
		put("larger", larger, manifestType).is(http.StatusRequestEntityTooLarge).says("MANIFEST_INVALID")

		index := marshal(document{"schemaVersion": 2, "mediaType": indexType, "manifests": []document{descriptor(manifestType, m)}}, nil)
		put("all", index, indexType).is(http.StatusCreated)
		c.do("GET", "/v2/x/manifests/all", nil).is(http.StatusOK).has("Content-Type", indexType).equals(index)
		nested := marshal(document{"schemaVersion": 2, "manifests": []document{descriptor(indexType, index)}}, nil)
		put("nested", nested, indexType).is(http.StatusCreated)
		put("empty", marshal(document{"schemaVersion": 2, "mediaType": indexType, "manifests": []document{}}, nil), indexType).is(http.StatusCreated)
		sparse := marshal(document{"schemaVersion": 2, "manifests": []document{descriptor(manifestType, []byte("?"))}}, nil)
		put("sparse", sparse, indexType).is(http.StatusBadRequest).says("MANIFEST_BLOB_UNKNOWN")
	})
}

func TestListingTags(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		c.do("GET", "/v2/x/tags/list", nil).is(http.StatusNotFound).says("NAME_UNKNOWN")
		for _, tag := range []string{"b", "a", "B", "c", "1.0"} {
			c.pushImage("x", tag, nil)
		}
		list := func(query string, link string, tags ...string) {
			c.Helper()
			var found struct {
				Name string
				Tags []string
			}
			a := c.do("GET", "/v2/x/tags/list"+query, nil).is(http.StatusOK).has("Link", link)
			a.decode(&found)
			if found.Name != "x" || !slices.Equal(found.Tags, tags) || found.Tags == nil {
				c.Errorf("%s: %s", query, a.body)
			}
		}
		next := func(n, last string) string {
			return fmt.Sprintf(`</v2/x/tags/list?last=%s&n=%s>; rel="next"`, last, n)
		}
		list("", "", "1.0", "B", "a", "b", "c")
		list("?n=0", "")
		list("?n=2", next("2", "B"), "1.0", "B")
		list("?n=2&last=B", next("2", "b"), "a", "b")
		list("?n=2&last=b", "", "c")
		list("?n=9", "", "1.0", "B", "a", "b", "c")
		list("?last=aa", "", "b", "c")
		list("?last=c", "")
		c.do("GET", "/v2/x/tags/list?n=-1", nil).is(http.StatusBadRequest).says("PAGINATION_NUMBER_INVALID")
		c.do("GET", "/v2/x/tags/list?n=x", nil).is(http.StatusBadRequest).says("PAGINATION_NUMBER_INVALID")
	})
}

func TestCatalog(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		list := func(query string, link string, names ...string) {
			c.Helper()
			var found struct{ Repositories []string }
			c.do("GET", "/v2/_catalog"+query, nil).is(http.StatusOK).has("Link", link).decode(&found)
			if !slices.Equal(found.Repositories, names) || found.Repositories == nil {
				c.Errorf("%s: %q and not %q", query, found.Repositories, names)
			}
		}
		list("", "")
		c.push("only/a/blob", []byte("x"))
		for _, name := range []string{"b", "a", "a/b", "a/blobs/c", "a-b"} {
			c.pushImage(name, "v1", nil)
		}
		list("", "", "a", "a-b", "a/b", "a/blobs/c", "b")
		list("?n=2", `</v2/_catalog?last=a-b&n=2>; rel="next"`, "a", "a-b")
		list("?n=2&last=a/b", "", "a/blobs/c", "b")
		c.do("GET", "/v2/a/blobs/c/manifests/v1", nil).is(http.StatusOK)
	})
}

func TestListingReferrers(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		type index struct {
			SchemaVersion int
			MediaType     string
			Manifests     []struct {
				MediaType, Digest, ArtifactType string
				Size                            int
				Annotations                     map[string]string
			}
		}
		list := func(subject, query string) (index, answer) {
			c.Helper()
			var i index
			a := c.do("GET", "/v2/x/referrers/"+subject+query, nil).is(http.StatusOK).has("Content-Type", indexType)
			a.decode(&i)
			if i.SchemaVersion != 2 || i.MediaType != indexType || i.Manifests == nil {
				c.Errorf("%s: no index: %s", query, a.body)
			}
			return i, a
		}
		subject := []byte(`{"to":"come"}`)
		if i, _ := list(digest(subject), ""); len(i.Manifests) != 0 {
			c.Errorf("of nothing: %v", i)
		}
		c.do("GET", "/v2/x/referrers/nonsense", nil).is(http.StatusBadRequest).says("DIGEST_INVALID")

		about := document{"subject": descriptor(manifestType, subject)}
		byConfig := c.pushImage("x", "", document{"subject": about["subject"], "annotations": document{"k": "1"}})
		byType := c.pushImage("x", "", document{"subject": about["subject"], "artifactType": "application/sbom", "annotations": document{"k": "2"}})
		asIndex := marshal(document{"schemaVersion": 2, "mediaType": indexType, "manifests": []document{}, "artifactType": "application/sbom"}, about)
		c.do("PUT", "/v2/x/manifests/tagged", asIndex, "Content-Type", indexType).is(http.StatusCreated).has("OCI-Subject", digest(subject))

		all, a := list(digest(subject), "")
		a.has("OCI-Filters-Applied", "")
		if len(all.Manifests) != 3 {
			c.Fatalf("all: %s", a.body)
		}
		for _, m := range all.Manifests {
			switch m.Digest {
			case digest(byConfig):
				if m.ArtifactType != "application/vnd.oci.image.config.v1+json" || m.Size != len(byConfig) || m.MediaType != manifestType || m.Annotations["k"] != "1" {
					c.Errorf("by config: %v", m)
				}
			case digest(byType):
				if m.ArtifactType != "application/sbom" || m.Annotations["k"] != "2" {
					c.Errorf("by type: %v", m)
				}
			case digest(asIndex):
				if m.ArtifactType != "application/sbom" || m.MediaType != indexType {
					c.Errorf("index: %v", m)
				}
			}
		}
		some, a := list(digest(subject), "?artifactType=application%2Fsbom")
		a.has("OCI-Filters-Applied", "artifactType")
		if len(some.Manifests) != 2 {
			c.Errorf("filtered: %s", a.body)
		}
		c.do("DELETE", "/v2/x/manifests/"+digest(byType), nil).is(http.StatusAccepted)
		if left, a := list(digest(subject), ""); len(left.Manifests) != 2 {
			c.Errorf("after one was deleted: %s", a.body)
		}
	})
}

func TestReferrersThatFillMoreThanAPage(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		subject := []byte("big")
		want := map[string]bool{}
		for i := range 3 {
			m := c.pushImage("x", "", document{
				"subject": descriptor(manifestType, subject), "annotations": document{"n": fmt.Sprint(i), "fill": strings.Repeat("A", 2<<20)},
			})
			want[digest(m)] = true
		}
		path := "/v2/x/referrers/" + digest(subject)
		for pages := 0; path != ""; pages++ {
			if pages > 3 {
				c.Fatal("pages without end")
			}
			var i struct{ Manifests []struct{ Digest string } }
			a := c.do("GET", path, nil).is(http.StatusOK)
			a.decode(&i)
			if len(a.body) > serve.MaxManifest {
				c.Errorf("a page of %d bytes", len(a.body))
			}
			for _, m := range i.Manifests {
				delete(want, m.Digest)
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		}
		if len(want) > 0 {
			c.Errorf("not listed: %v", want)
		}
	})
}

func TestContentManagement(t *testing.T) {
	for _, manifestFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("manifest before blobs %v", manifestFirst), func(t *testing.T) {
			overEach(t, serve.Options{}, func(c *client) {
				m := c.pushImage("x", "v1", nil)
				c.do("PUT", "/v2/x/manifests/v2", m, "Content-Type", manifestType).is(http.StatusCreated)
				c.do("DELETE", "/v2/x/manifests/v1", nil).is(http.StatusAccepted)
				c.do("GET", "/v2/x/manifests/v1", nil).is(http.StatusNotFound)
				c.do("DELETE", "/v2/x/manifests/v1", nil).is(http.StatusNotFound).says("MANIFEST_UNKNOWN")
				c.do("GET", "/v2/x/manifests/"+digest(m), nil).is(http.StatusOK)
				blobs := []string{digest([]byte("{}")), digest([]byte("layer of v1"))}
				removeManifest := func() {
					c.do("DELETE", "/v2/x/manifests/"+digest(m), nil).is(http.StatusAccepted)
					c.do("GET", "/v2/x/manifests/"+digest(m), nil).is(http.StatusNotFound)
					c.do("GET", "/v2/x/manifests/v2", nil).is(http.StatusNotFound)
					c.do("DELETE", "/v2/x/manifests/"+digest(m), nil).is(http.StatusNotFound)
				}
				if manifestFirst {
					removeManifest()
				}
				for _, d := range blobs {
					c.do("DELETE", "/v2/x/blobs/"+d, nil).is(http.StatusAccepted)
					c.do("GET", "/v2/x/blobs/"+d, nil).is(http.StatusNotFound)
					c.do("DELETE", "/v2/x/blobs/"+d, nil).is(http.StatusNotFound).says("BLOB_UNKNOWN")
				}
				if !manifestFirst {
					removeManifest()
				}
				c.do("GET", "/v2/x/tags/list", nil).is(http.StatusOK).equals([]byte(`{"name":"x","tags":[]}` + "\n"))
				c.do("DELETE", "/v2/x/manifests/.bad", nil).is(http.StatusNotFound)
				c.do("DELETE", "/v2/x/blobs/nonsense", nil).is(http.StatusBadRequest).says("DIGEST_INVALID")
			})
		})
	}
}

func TestNames(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		d := digest([]byte("x"))
		for _, name := range []string{"Upper", "-x", "x-", "x//y", "x/../y", "..", "_x", "x___y", "x.-y", "é", strings.Repeat("a", 256), "x/_tags"} {
			escaped := (&url.URL{Path: name}).EscapedPath()
			c.do("POST", "/v2/"+escaped+"/blobs/uploads/", nil).is(http.StatusBadRequest).says("NAME_INVALID")
			c.do("GET", "/v2/"+escaped+"/blobs/"+d, nil).is(http.StatusBadRequest).says("NAME_INVALID")
		}
		for _, name := range []string{"a", "a/b/c", "a__b", "a--b.c_d", "uploads", "x/blobs/uploads", "x/manifests", "x/tags", strings.Repeat("a", 255)} {
			c.push(name, []byte("x"))
			c.do("GET", "/v2/"+name+"/blobs/"+d, nil).is(http.StatusOK)
		}
	})
}

func TestReadOnly(t *testing.T) {
	for name, storage := range storages(t) {
		t.Run(name, func(t *testing.T) {
			m := dial(t, storage, serve.Options{}).pushImage("x", "v1", nil)
			c := dial(t, storage, serve.Options{ReadOnly: true})
			c.do("GET", "/v2/x/manifests/v1", nil).is(http.StatusOK)
			for _, r := range [][2]string{
				{"POST", "/v2/x/blobs/uploads/"},
				{"PUT", "/v2/x/manifests/v2"},
				{"DELETE", "/v2/x/manifests/v1"},
				{"DELETE", "/v2/x/manifests/" + digest(m)},
				{"DELETE", "/v2/x/blobs/" + digest([]byte("{}"))},
				{"PATCH", "/v2/x/blobs/uploads/" + strings.Repeat("0", 32)},
			} {
				c.do(r[0], r[1], m).is(http.StatusMethodNotAllowed).says("UNSUPPORTED")
			}
			c.do("GET", "/v2/x/manifests/v1", nil).is(http.StatusOK).equals(m)
		})
	}
}

func TestForeignNames(t *testing.T) {
	overEach(t, serve.Options{}, func(c *client) {
		for _, host := range []string{"localhost", "127.0.0.1:5000", "[::1]:5000", "10.0.2.2", "builder", "host.containers.internal:5000", "a.localhost"} {
			c.do("GET", "/v2/", nil, "Host", host).is(http.StatusOK)
		}
		for _, host := range []string{"rebound.example", "127.0.0.1.example.com:5000"} {
			c.do("GET", "/v2/", nil, "Host", host).is(http.StatusForbidden).says("DENIED")
		}
	})
}
