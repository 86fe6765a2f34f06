package hostile

import (
	"fmt"
	"net/http"
	"strings"

	"rootlet/pull/registrytest"
)

// registries misbehave: they want the user's credentials elsewhere, send him to
// addresses that are not theirs, or never end (CVE-2020-15157, CVE-2026-48978).
func registries() []Case {
	// good serves a good image, over which the rest goes wrong.
	good := func(wrong func(s *Scene, name string)) func(*Scene, string) {
		return func(s *Scene, name string) {
			s.Registry.Push(name, lied(s))
			wrong(s, name)
		}
	}
	realm := func(of func(s *Scene) string) func(*Scene, string) {
		return good(func(s *Scene, _ string) { s.Registry.RequireToken("alice", "canary-password", of(s)) })
	}
	redirect := func(part string, to func(s *Scene) string) func(*Scene, string) {
		return good(func(s *Scene, name string) {
			s.Registry.Handle("/v2/"+name+part, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", to(s))
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
		})
	}
	fault := func(part string, f registrytest.Fault) func(*Scene, string) {
		return good(func(s *Scene, name string) {
			f.Path = "/v2/" + name + part
			s.Registry.Add(f)
		})
	}
	to := func(url string) func(*Scene) string { return func(*Scene) string { return url } }
	other := func(path string) func(*Scene) string {
		return func(s *Scene) string { return s.Other.Server.URL + path }
	}
	const private = "the registry points to"
	return of(31,
		Case{Name: "realm-http", What: "a token server that is not https", Login: true, Serve: realm(to("http://auth.example.com/token")), Refused: "not https"},
		Case{Name: "realm-metadata", Login: true, Serve: realm(to("http://169.254.169.254/token")), Refused: "not https|" + private},
		Case{Name: "realm-file", Login: true, Serve: realm(to("file:///etc/passwd")), Refused: "token server"},
		Case{Name: "realm-relative", Login: true, Serve: realm(to("/token")), Refused: "token server"},
		Case{Name: "realm-userinfo", Login: true, Serve: realm(to("https://127.0.0.1@auth.example.com/token")), Refused: "token server|auth.example.com"},
		Case{Name: "realm-control-characters", Login: true, Serve: realm(to("http://a\x7f/\x1b]0;owned\x07")), Refused: "token server"},
		Case{Name: "realm-other-host", What: "gets no credentials", Login: true, Serve: realm(other("/token")), Refused: "no such image"},
		Case{Name: "token-html", Serve: good(func(s *Scene, _ string) {
			s.Registry.RequireToken("", "", "")
			s.Registry.Add(registrytest.Fault{Path: "/token", Status: 200, Body: []byte("<html>")})
			s.Registry.RequireToken("", "", s.Registry.Server.URL+"/wrong-token")
		}), Refused: "."},
		Case{Name: "token-2-mib", Serve: good(func(s *Scene, _ string) {
			s.Registry.RequireToken("", "", s.Other.Server.URL+"/token")
			s.Other.Handle("/token", answer("application/json", []byte(`{"token":"`+strings.Repeat("t", 2<<20)+`"}`)))
		}), Refused: "token"},
		Case{Name: "token-with-newline", Serve: good(func(s *Scene, _ string) {
			s.Registry.RequireToken("", "", s.Other.Server.URL+"/token")
			s.Other.Handle("/token", answer("application/json", []byte(`{"token":"a\r\nX-Injected: b"}`)))
		}), Refused: "."},
		Case{Name: "challenge-without-realm", Serve: fault("", registrytest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}), Refused: "denied"},
		Case{Name: "challenge-junk", Serve: good(func(s *Scene, _ string) {
			s.Registry.Add(registrytest.Fault{Path: "/v2/", Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="unclosed,service=,,=x` + strings.Repeat(`,a="b"`, 5000)}}})
		}), Refused: "token server|denied|challenge"},
		Case{Name: "blob-to-other-host", What: "which asks who it is: no credentials", Login: true, Serve: good(func(s *Scene, _ string) {
			s.Registry.RequireBasic("alice", "canary-password")
			s.Registry.RedirectBlobs(s.Other.Server.URL)
			s.Other.RequireBasic("alice", "canary-password")
		}), Refused: "denied"},
		Case{Name: "manifest-to-other-host", Login: true, Serve: redirect("/manifests/", other("/v2/x/manifests/latest")), Refused: "no such image|denied"},
		Case{Name: "redirect-loop", Serve: redirect("/manifests/", func(s *Scene) string { return s.Registry.Server.URL + "/v2/" + "redirect-loop" + "/manifests/latest" }), Refused: "redirects"},
		Case{Name: "redirect-metadata", Serve: redirect("/blobs/", to("http://169.254.169.254/latest/meta-data/")), Refused: private + "|plain http"},
		Case{Name: "redirect-metadata-https", Serve: redirect("/blobs/", to("https://169.254.169.254/latest/meta-data/")), Refused: private},
		Case{Name: "redirect-private", Serve: redirect("/blobs/", to("https://10.0.0.1/x")), Refused: private},
		Case{Name: "redirect-private-v6", Serve: redirect("/blobs/", to("https://[fd00::1]/x")), Refused: private},
		Case{Name: "redirect-mapped-v4", Serve: redirect("/blobs/", to("https://[::ffff:169.254.169.254]/x")), Refused: private},
		Case{Name: "redirect-one-number", What: "2130706433 is 127.0.0.1 to some", Serve: redirect("/blobs/", to("https://2130706433/x")), Refused: private},
		Case{Name: "redirect-hexadecimal", Serve: redirect("/blobs/", to("https://0x7f000001/x")), Refused: private},
		Case{Name: "redirect-zero", What: "0.0.0.0 is this host", Serve: redirect("/blobs/", to("https://0.0.0.0/x")), Refused: private + "|connection refused"},
		Case{Name: "redirect-file", Serve: redirect("/blobs/", to("file:///etc/passwd")), Refused: "file|protocol scheme"},
		Case{Name: "redirect-gopher", Serve: redirect("/blobs/", to("gopher://127.0.0.1/x")), Refused: "gopher|protocol scheme"},
		Case{Name: "redirect-nowhere", Serve: redirect("/blobs/", to("")), Refused: "Location|307"},
		Case{Name: "redirect-userinfo", What: "https://alice:x@...", Serve: redirect("/blobs/", to("http://alice:x@example.com/x")), Refused: "plain http|not allowed"},
		Case{Name: "redirect-escape-codes", Serve: redirect("/blobs/", to("http://ex\x1b]0;owned\x07/x")), Refused: "Location|invalid"},
		Case{Name: "401-after-200", Serve: fault("/blobs/", registrytest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {`Basic realm="x"`}}}), Refused: "denied"},
		Case{Name: "html-manifest", Serve: fault("/manifests/", registrytest.Fault{Body: []byte("<html>hotel wifi</html>")}), Refused: "manifest"},
		Case{Name: "html-blob", Serve: fault("/blobs/", registrytest.Fault{Body: []byte("<html>hotel wifi</html>")}), Refused: "web page"},
		Case{Name: "204", Serve: fault("/manifests/", registrytest.Fault{Status: 204}), Refused: "204|status"},
		Case{Name: "206-of-another-part", Serve: good(func(s *Scene, name string) {
			s.Registry.Add(registrytest.Fault{Path: "/v2/" + name + "/blobs/", Status: 206, Header: http.Header{"Content-Range": {"bytes 500-600/99999"}}, Body: make([]byte, 101)})
		}), Refused: "."},
		Case{Name: "500-with-junk", What: "its words are shown in one line, without control characters", Serve: fault("/manifests/", registrytest.Fault{Status: 400, Body: []byte(`{"errors":[{"code":"\u001b]0;owned\u0007","message":"line\nline\u001b[2J` + strings.Repeat("x", 50_000) + `"}]}`)}), Refused: "."},
		Case{Name: "error-of-8-mib", Serve: fault("/manifests/", registrytest.Fault{Status: 400, Body: []byte(strings.Repeat("x", 8<<20))}), Refused: "."},
		Case{Name: "headers-2-mib", Serve: fault("/manifests/", registrytest.Fault{Status: 200, Header: http.Header{"X-Junk": {strings.Repeat("x", 2<<20)}}, Body: []byte("{}")}), Refused: "header"},
		Case{Name: "endless-manifest", Serve: good(func(s *Scene, name string) {
			s.Registry.Handle("/v2/"+name+"/manifests/", func(w http.ResponseWriter, _ *http.Request) {
				repeated(w, []byte(`{"schemaVersion":2,"annotations":{"a":"`), []byte(strings.Repeat("x", 1<<20)), 1<<20)
			})
		}), Refused: "4 MiB|too large|limit"},
		Case{Name: "endless-blob", Serve: good(func(s *Scene, name string) {
			s.Registry.Handle("/v2/"+name+"/blobs/", func(w http.ResponseWriter, _ *http.Request) {
				repeated(w, nil, make([]byte, 1<<20), 1<<20)
			})
		}), Refused: "more than|size"},
		Case{Name: "endless-error", Serve: good(func(s *Scene, name string) {
			s.Registry.Handle("/v2/"+name+"/manifests/", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				repeated(w, nil, make([]byte, 1<<20), 1<<20)
			})
		}), Refused: "."},
		Case{Name: "wrong-length", Serve: good(func(s *Scene, name string) {
			s.Registry.Add(registrytest.Fault{Path: registrytest.Digest(lied(s).Layers[1].Blob()), Truncate: 10, WithTruth: true})
		}), Refused: "size"},
		Case{Name: "corrupt-byte", Serve: good(func(s *Scene, name string) {
			s.Registry.Add(registrytest.Fault{Path: registrytest.Digest(lied(s).Layers[1].Blob()), Corrupt: true})
		}), Refused: "digest"},
		Case{Name: "gzip-encoding", What: "Content-Encoding: gzip is not undone", Serve: good(func(s *Scene, name string) {
			body := gzipped([]byte(`{"schemaVersion":2}`))
			s.Registry.Add(registrytest.Fault{Path: "/v2/" + name + "/manifests/", Status: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: body})
		}), Refused: "manifest"},
		Case{Name: "type-of-another-document", What: "a manifest that comes as an index", Serve: good(func(s *Scene, name string) {
			config, layer := parts(s, name, "")
			document(s, name, "application/vnd.oci.image.index.v1+json", fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, config, layer))
		}), Refused: "says it is"},
	)
}

// confusions are names that stand for something else than they say.
func confusions() []Case {
	const zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	return of(32,
		Case{Name: "digest-of-another", What: "name@digest answered with a whole, other image", Suffix: "@" + zeros, Serve: manifest(`{"schemaVersion":2,"config":CONFIG,"layers":[LAYER]}`), Refused: "the manifest that came has digest"},
		Case{Name: "tag-and-digest", What: "name:tag@digest: the digest counts", Suffix: ":latest@" + zeros, Serve: manifest(`{"schemaVersion":2,"config":CONFIG,"layers":[LAYER]}`), Refused: "the manifest that came has digest"},
		Case{Name: "docker-content-digest", What: "the header is not believed", Suffix: "@" + zeros, Serve: func(s *Scene, name string) {
			config, layer := parts(s, name, "")
			body := fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, config, layer)
			s.Registry.Handle("/v2/"+name+"/manifests/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Docker-Content-Digest", zeros)
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				_, _ = w.Write(body)
			})
		}, Refused: "the manifest that came has digest"},
		Case{Name: "tag-traversal", Suffix: ":../../x", Serve: members(), Refused: "reference|tag"},
		Case{Name: "digest-traversal", Suffix: "@sha256:../../x", Serve: members(), Refused: "digest|reference"},
		Case{Name: "digest-uppercase", Suffix: "@" + strings.ToUpper(zeros), Serve: members(), Refused: "digest|reference"},
		Case{Name: "query-in-tag", Suffix: ":latest?x=y", Serve: members(), Refused: "reference|tag"},
	)
}
