package hostile

import (
	"encoding/json"
	"fmt"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registrytest"
)

// lies are digests, sizes and types that do not fit what is served
// (CVE-2014-8179, CVE-2021-41190, CVE-2024-3727).
func lies() []Case {
	fault := func(f registrytest.Fault) func(*Scene, string) {
		return func(s *Scene, name string) {
			i := lied(s)
			s.Registry.Push(name, i)
			f.Path = registrytest.Digest(i.Layers[1].Blob())
			s.Registry.Add(f)
		}
	}
	digestText := func(digest string) func(*Scene, string) {
		return manifest(fmt.Sprintf(`{"schemaVersion":2,"config":CONFIG,"layers":[{"mediaType":%q,"size":1,"digest":%q}]}`, types.OCILayer, digest))
	}
	last := func(m *v1.Manifest) *v1.Descriptor { return &m.Layers[len(m.Layers)-1] }
	return of(29,
		Case{Name: "blob-longer", Serve: fault(registrytest.Fault{Extra: 1}), Refused: "size"},
		Case{Name: "blob-longer-unannounced", Serve: fault(registrytest.Fault{Extra: 1, Chunked: true}), Refused: "more than"},
		Case{Name: "blob-shorter", Serve: fault(registrytest.Fault{Truncate: 70_000, WithTruth: true}), Refused: "size"},
		Case{Name: "blob-changed", Serve: fault(registrytest.Fault{Corrupt: true}), Refused: "digest"},
		Case{Name: "blob-of-another-image", Serve: fault(registrytest.Fault{Body: make([]byte, 100_000)}), Refused: "size|digest"},
		Case{Name: "size-smaller", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).Size-- }), Refused: "size|more than"},
		Case{Name: "size-larger", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).Size++ }), Refused: "size"},
		Case{Name: "size-zero", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).Size = 0 }), Refused: "size|more than"},
		Case{Name: "size-negative", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).Size = -1 }), Refused: "size -1"},
		Case{Name: "size-largest", What: "2^63-1", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).Size = 1<<63 - 1 }), Refused: "size|limit"},
		Case{Name: "config-size", Serve: edited(func(_ *Scene, m *v1.Manifest) { m.Config.Size++ }), Refused: "size"},
		Case{Name: "config-of-another-image", Serve: func(s *Scene, name string) {
			config, layer := parts(s, name, `{"os":"linux","architecture":"ARCH","rootfs":{"type":"layers","diff_ids":["sha256:`+fmt.Sprintf("%064d", 7)+`"]}}`)
			document(s, name, types.OCIManifestSchema1, fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s,%s]}`, config, layer, layer))
		}, Refused: "1 DiffIDs for 2 layers"},
		Case{Name: "diffid", Serve: diffIDs("sha256:" + fmt.Sprintf("%064d", 7)), Refused: "DiffID"},
		Case{Name: "diffid-of-kept-blob", What: "the blob is another image's, and stays", Serve: func(s *Scene, name string) {
			i := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{s.Base}, DiffIDs: []string{"sha256:" + fmt.Sprintf("%064d", 8)}}
			s.Registry.Push(name, i)
			s.Registry.Add(registrytest.Fault{Path: registrytest.Digest(s.Base.Blob()), Status: 404})
		}, Refused: "DiffID"},
		Case{Name: "blob-for-a-layer-that-is-there", What: "another blob under the good image's configuration, for push to send", Serve: func(s *Scene, name string) {
			i := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{registrytest.NewLayer(registrytest.Gzip, file("x", "evil"))}, DiffIDs: []string{s.Base.DiffID()}}
			s.Registry.Push(name, i)
		}, Refused: "DiffID"},
		Case{Name: "kept-blob-for-another-layer", What: "a blob that is there, for a layer that is there, which do not belong together", Serve: func(s *Scene, name string) {
			i := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{s.Base, s.Base}, DiffIDs: []string{s.Base.DiffID(), s.Extra.DiffID()}}
			s.Registry.Push(name, i)
		}, Refused: "DiffID"},
		Case{Name: "diffid-traversal", Serve: diffIDs("sha256:../../../../x"), Refused: "is not sha256"},
		Case{Name: "diffid-empty", Serve: diffIDs(""), Refused: "is not sha256"},
		Case{Name: "diffid-uppercase", Serve: diffIDs("sha256:" + fmt.Sprintf("%064X", 0xABC)), Refused: "is not sha256"},
		Case{Name: "digest-traversal", Serve: digestText("sha256:../../x"), Refused: "digest|hash"},
		Case{Name: "digest-uppercase", Serve: digestText("sha256:" + fmt.Sprintf("%064X", 0xABC)), Refused: "digest|hash|hex"},
		Case{Name: "digest-short", Serve: digestText("sha256:abc"), Refused: "digest|hash|hex"},
		Case{Name: "digest-sha1", Serve: digestText("sha1:" + fmt.Sprintf("%040d", 7)), Refused: "digest|hash"},
		Case{Name: "digest-sha512", Serve: digestText("sha512:" + fmt.Sprintf("%0128d", 7)), Refused: "digest|hash"},
		Case{Name: "digest-empty", Serve: digestText(""), Refused: "digest|hash"},
		Case{Name: "digest-newline", Serve: digestText("sha256:" + fmt.Sprintf("%064d", 7) + "\n"), Refused: "digest|hash|hex"},
		Case{Name: "trailing-data", What: "a second archive after the first one's end changes the DiffID", Serve: func(s *Scene, name string) {
			first := registrytest.NewLayer(registrytest.Gzip, file("x", "first"))
			whole := registrytest.Layer{Tar: append(first.Tar, registrytest.Tar(file("x", "second"))...), Compression: registrytest.Gzip}
			i := image(s, nil, whole)
			i.DiffIDs = []string{s.Base.DiffID(), first.DiffID()}
			s.Registry.Push(name, i)
		}, Refused: "DiffID"},
		Case{Name: "trailing-archive", What: "with a DiffID that is right: only the first is read", Serve: archived(func(*Scene) []byte {
			return append(registrytest.Tar(file("x", "first")), registrytest.Tar(file("x", "second"))...)
		}), Run: shell("cat /x"), Shows: "first", Hides: "second"},
		Case{Name: "second-gzip-member", What: "with another archive in it", Serve: blob(types.OCILayer, func() []byte {
			return append(gzipped(registrytest.Tar(file("x", "first"))), gzipped(registrytest.Tar(file("x", "second")))...)
		}, registrytest.Tar(file("x", "first"))), Refused: "DiffID"},
		Case{Name: "gzip-trailing-junk", Serve: blob(types.OCILayer, func() []byte {
			return append(gzipped(registrytest.Tar(file("x", "first"))), "junk behind it"...)
		}, registrytest.Tar(file("x", "first"))), Refused: "does not unpack"},
		Case{Name: "gzip-checksum", Serve: blob(types.OCILayer, func() []byte {
			b := gzipped(registrytest.Tar(file("x", "first")))
			b[len(b)-6] ^= 1
			return b
		}, registrytest.Tar(file("x", "first"))), Refused: "does not unpack"},
		Case{Name: "gzip-cut", What: "a blob that ends within the archive, as its digest says", Serve: blob(types.OCILayer, func() []byte {
			b := gzipped(registrytest.Tar(file("x", "first")))
			return b[:len(b)-20]
		}, registrytest.Tar(file("x", "first"))), Refused: "does not unpack"},
		Case{Name: "type-says-tar", Serve: blob(types.OCIUncompressedLayer, func() []byte { return gzipped(registrytest.Tar(file("x", ""))) }, registrytest.Tar(file("x", ""))), Refused: "is gzip by its content and tar by its media type"},
		Case{Name: "type-says-zstd", Serve: blob(types.OCILayerZStd, func() []byte { return gzipped(registrytest.Tar(file("x", ""))) }, registrytest.Tar(file("x", ""))), Refused: "is gzip by its content and zstd by its media type"},
		Case{Name: "type-says-gzip", Serve: blob(types.OCILayer, func() []byte { return registrytest.Tar(file("x", "")) }, registrytest.Tar(file("x", ""))), Refused: "is tar by its content and gzip by its media type"},
		Case{Name: "type-unknown", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).MediaType = "application/x-shellscript" }), Refused: "not known"},
		Case{Name: "type-empty", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).MediaType = "" }), Refused: "not known"},
		Case{Name: "encrypted-layer", Serve: edited(func(_ *Scene, m *v1.Manifest) { last(m).MediaType += "+encrypted" }), Refused: "not known"},
		Case{Name: "empty-blob", What: "of no bytes, as its digest says", Serve: blob(types.OCILayer, func() []byte { return nil }, nil), Refused: "by its media type"},
		Case{Name: "config-is-a-layer", Serve: edited(func(_ *Scene, m *v1.Manifest) { m.Config.Digest, m.Config.Size = last(m).Digest, last(m).Size }), Refused: "config"},
	)
}

// lied is a good image, which is served badly.
func lied(s *Scene) registrytest.Image {
	return image(s, nil, registrytest.RandomLayer(registrytest.Gzip, 29, 100_000))
}

func diffIDs(second string) func(*Scene, string) {
	return func(s *Scene, name string) {
		i := image(s, nil, registrytest.NewLayer(registrytest.Gzip, file("x", "x")))
		i.DiffIDs = []string{s.Base.DiffID(), second}
		s.Registry.Push(name, i)
	}
}

// blob serves an image of one layer, of these bytes, under this type, which says
// that it unpacks to a tar.
func blob(t types.MediaType, body func() []byte, tar []byte) func(*Scene, string) {
	return func(s *Scene, name string) {
		config, _ := json.Marshal(map[string]any{
			"os": "linux", "architecture": arch,
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{registrytest.Digest(tar)}},
		})
		content := body()
		s.Registry.PushBlob(name, config)
		s.Registry.Handle("/v2/"+name+"/blobs/"+registrytest.Digest(content), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
		document(s, name, types.OCIManifestSchema1, fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`,
			descriptor(types.OCIConfigJSON, config), descriptor(t, content)))
	}
}
