package hostile

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registrytest"
)

// archives are for load: files on the user's disk, whose members say of each
// other what is not so. Their classes are those of the images in them.
func archives() []Case {
	const good = `[{"Config":"config.json","RepoTags":["hostile/archive:latest"],"Layers":["base.tar","layer.tar"]}]`
	entry := func(config, layers string) string {
		return `[{"Config":` + config + `,"RepoTags":["hostile/archive:latest"],"Layers":` + layers + `}]`
	}
	return slices.Concat(
		of(23,
			Case{Name: "load-config-dotdot", What: "manifest.json names a file outside", Archive: saved(entry(`"`+up+`VICTIM/hello"`, `["base.tar","layer.tar"]`)), Refused: "."},
			Case{Name: "load-layer-absolute", Archive: saved(entry(`"config.json"`, `["base.tar","VICTIM/hello"]`)), Refused: "."},
			Case{Name: "load-member-dotdot", What: "a member ../../victim/hello is not written anywhere", Archive: saved(good, file(up+"VICTIM/hello", "pwned")), Loads: "hostile/archive", Run: shell("echo ran"), Shows: "ran"},
			Case{Name: "load-config-symlink", What: "config.json is a link to a file outside", Archive: replaced(good, symlink("config.json", "VICTIM/hello")), Refused: "."},
			Case{Name: "load-layer-symlink", What: "layer.tar is a link to a file outside", Archive: replaced(good, symlink("layer.tar", "VICTIM/hello")), Refused: "."},
			Case{Name: "load-layer-symlink-dotdot", Archive: replaced(good, symlink("layer.tar", up+"VICTIM/hello")), Refused: "."},
			Case{Name: "load-layer-symlink-loop", Archive: replaced(good, symlink("layer.tar", "other.tar"), symlink("other.tar", "layer.tar")), Refused: "."},
			Case{Name: "load-layer-hardlink", Archive: replaced(good, hardlink("layer.tar", "VICTIM/hello")), Refused: "."},
			Case{Name: "load-layer-fifo", Archive: replaced(good, special(tar.TypeFifo, "layer.tar")), Refused: "."},
			Case{Name: "load-layer-directory", Archive: replaced(good, directory("layer.tar")), Refused: "."},
		),
		of(29,
			Case{Name: "load-member-twice", What: "two configurations of one name", Archive: saved(good, file("config.json", `{}`)), Refused: "."},
			Case{Name: "load-manifest-twice", Archive: saved(good, file("manifest.json", `[]`)), Refused: "."},
			Case{Name: "load-layer-missing", Archive: saved(entry(`"config.json"`, `["base.tar","missing.tar"]`)), Refused: "missing.tar"},
			Case{Name: "load-layer-changed", What: "another tar than the DiffID says", Archive: changed, Refused: "digest"},
			Case{Name: "load-layer-junk", Archive: replaced(good, file("layer.tar", strings.Repeat("junk", 1000))), Refused: "."},
			Case{Name: "load-layer-twice", Archive: saved(entry(`"config.json"`, `["base.tar","layer.tar","layer.tar"]`)), Refused: "3 layers, and the config lists 2"},
			Case{Name: "load-config-name-lies", What: "the file's name is a digest, and not its own", Archive: saved(entry(`"`+strings.Repeat("0", 64)+`.json"`, `["base.tar","layer.tar"]`)), Refused: "."},
			Case{Name: "load-size-lies", What: "a member says 100 GiB", Archive: func(*Scene) []byte {
				return append(raw(rawHeader{name: "manifest.json", size: "\x80\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x00"}, ""), ending()...)
			}, Refused: "."},
			Case{Name: "load-oci-digest-traversal", Archive: layout(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":9,"digest":"sha256:` + up + `VICTIM/hello"}]}`), Refused: "."},
			Case{Name: "load-oci-digest-algorithm", Archive: layout(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":9,"digest":"..:hello"}]}`), Refused: "."},
			Case{Name: "load-oci-blob-lies", What: "a blob whose name is not its digest", Archive: layout(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:`+strings.Repeat("0", 64)+`"}]}`, file("blobs/sha256/"+strings.Repeat("0", 64), "{}")), Refused: "."},
			Case{Name: "load-oci-size-lies", Archive: func(s *Scene) []byte { return layoutOf(s, `,"size":1`) }, Refused: "."},
		),
		of(30,
			Case{Name: "load-nothing", What: "an archive with no members", Archive: func(*Scene) []byte { return ending() }, Refused: "."},
			Case{Name: "load-no-bytes", Archive: func(*Scene) []byte { return nil }, Refused: "."},
			Case{Name: "load-noise", Archive: func(*Scene) []byte { return registrytest.RandomLayer(registrytest.Plain, 8, 8192).Tar[1024:5120] }, Refused: "."},
			Case{Name: "load-manifest-null", Archive: saved(`null`), Refused: "."},
			Case{Name: "load-manifest-null-entry", Archive: saved(`[null]`), Refused: "."},
			Case{Name: "load-manifest-numbers", Archive: saved(entry(`1`, `[2]`)), Refused: "."},
			Case{Name: "load-manifest-deep", Archive: saved(strings.Repeat("[", 20_000)), Refused: "."},
			Case{Name: "load-manifest-32-mib", Archive: saved(`["` + strings.Repeat("x", 32<<20) + `"]`), Refused: "."},
			Case{Name: "load-config-64-mib", Archive: replaced(good, file("config.json", `{"a":"`+strings.Repeat("x", 64<<20)+`"}`)), Refused: "."},
			Case{Name: "load-tags-junk", What: "names that are none, or the user's own", Archive: saved(`[{"Config":"config.json","RepoTags":["../../x","\u001b]0;owned\u0007"],"Layers":["base.tar","layer.tar"]}]`), Refused: "."},
			Case{Name: "load-oci-index-loop", Archive: layout(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","size":4,"digest":"sha256:74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"}]}`, file("blobs/sha256/74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b", "null")), Refused: "."},
			Case{Name: "load-oci-layout-version", Archive: layoutOfVersion("99"), Refused: "."},
			Case{Name: "load-oci-names-junk", What: "an annotation with control characters is no name", Archive: func(s *Scene) []byte {
				return layoutOf(s, `,"annotations":{"org.opencontainers.image.ref.name":"\u001b]0;owned\u0007","io.containerd.image.name":"../../x"}`)
			}},
			Case{Name: "load-bomb", What: "320 KiB of zstd, which are 10 GiB of zeros", Archive: func(*Scene) []byte {
				return slices.Concat(zstded(raw(rawHeader{name: "zeros", size: "\x80\x00\x00\x00\x00\x00\x00\x02\x80\x00\x00\x00"}, "")), slices.Repeat(zstded(make([]byte, 64<<20)), 160))
			}, Refused: "."},
			Case{Name: "load-many-members", What: "50,000 members that nobody asks for", Archive: func(s *Scene) []byte { return manyMembers(s, good, 50_000) }, Loads: "hostile/archive", Run: shell("echo ran"), Shows: "ran"},
		),
	)
}

// saved is what docker save made once: a configuration, a layer, and
// manifest.json, which names them; and more members behind.
func saved(manifest string, more ...registrytest.File) func(*Scene) []byte {
	return func(s *Scene) []byte { return registrytest.Tar(savedMembers(s, manifest, more...)...) }
}

func savedMembers(s *Scene, manifest string, more ...registrytest.File) []registrytest.File {
	manifest = strings.ReplaceAll(manifest, "VICTIM", s.Victim)
	return append([]registrytest.File{
		file("config.json", string(registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{s.Base, {Tar: archiveLayer()}}}.ConfigJSON())),
		file("base.tar", string(s.Base.Tar)),
		file("layer.tar", string(archiveLayer())),
		file("manifest.json", manifest),
	}, placed(s, more)...)
}

func archiveLayer() []byte { return registrytest.Tar(file("archive", "x")) }

// changed has another layer than its configuration says, which no other case has.
func changed(s *Scene) []byte {
	layer := registrytest.Layer{Tar: registrytest.Tar(file("archive", "unchanged"))}
	config := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{layer}}.ConfigJSON()
	return registrytest.Tar(file("config.json", string(config)), file("layer.tar", string(archiveLayer())),
		file("manifest.json", `[{"Config":"config.json","RepoTags":["hostile/archive:latest"],"Layers":["layer.tar"]}]`))
}

// replaced is the same, with members in the place of those of their name.
func replaced(manifest string, others ...registrytest.File) func(*Scene) []byte {
	return func(s *Scene) []byte {
		members := savedMembers(s, manifest)
		for _, o := range placed(s, others) {
			name := strings.TrimSuffix(o.Name, "/")
			members = append(slices.DeleteFunc(members, func(f registrytest.File) bool { return f.Name == name }), o)
		}
		return registrytest.Tar(members...)
	}
}

func manyMembers(s *Scene, manifest string, n int) []byte {
	members := savedMembers(s, manifest)
	for i := range n {
		members = append(members, file("member"+number(i), ""))
	}
	return registrytest.Tar(members...)
}

// layout is an OCI layout with this index.json.
func layout(index string, more ...registrytest.File) func(*Scene) []byte {
	return func(s *Scene) []byte {
		return registrytest.Tar(append([]registrytest.File{
			file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`),
			file("index.json", strings.ReplaceAll(index, "VICTIM", s.Victim)),
		}, placed(s, more)...)...)
	}
}

// layoutOf is one with a whole image, whose descriptor in index.json ends with
// extra fields.
func layoutOf(s *Scene, extra string) []byte {
	return registrytest.Tar(layoutMembers(s, "1.0.0", extra)...)
}

func layoutOfVersion(version string) func(*Scene) []byte {
	return func(s *Scene) []byte { return registrytest.Tar(layoutMembers(s, version, "")...) }
}

func layoutMembers(s *Scene, version, extra string) []registrytest.File {
	i := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{s.Base}, Config: map[string]any{"Labels": map[string]string{"case": "layout"}}}
	config, blob := i.ConfigJSON(), s.Base.Blob()
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, descriptor(types.OCIConfigJSON, config), descriptor(types.OCILayer, blob))
	entry := strings.TrimSuffix(descriptor(types.OCIManifestSchema1, manifest), "}") + extra + "}"
	members := []registrytest.File{
		file("oci-layout", `{"imageLayoutVersion":"`+version+`"}`),
		file("index.json", `{"schemaVersion":2,"manifests":[`+entry+`]}`),
	}
	for _, b := range [][]byte{manifest, config, blob} {
		members = append(members, file("blobs/sha256/"+strings.TrimPrefix(registrytest.Digest(b), "sha256:"), string(b)))
	}
	return members
}
