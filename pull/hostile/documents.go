package hostile

import (
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registrytest"
)

// manifests that are none, or more than one (CVE-2020-1702, CVE-2021-20291,
// CVE-2021-41190).
func manifests() []Case {
	refused := func(name, text, words string) Case {
		return Case{Name: "manifest-" + name, Serve: manifest(text), Refused: words}
	}
	nested := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	cases := []Case{
		refused("empty", ``, "manifest"),
		refused("html", `<html>hotel wifi</html>`, "manifest"),
		refused("null", `null`, "schema version"),
		refused("array", `[]`, "manifest"),
		refused("string", `"manifest"`, "manifest"),
		refused("empty-object", `{}`, "schema version 0"),
		refused("schema-1", `{"schemaVersion":1,"name":"x","fsLayers":[{"blobSum":"sha256:00"}],"history":[{"v1Compatibility":"{}"}]}`, "schema 1"),
		refused("schema-3", `{"schemaVersion":3,"config":CONFIG,"layers":[LAYER]}`, "schema version 3"),
		refused("schema-huge", `{"schemaVersion":1e400,"config":CONFIG,"layers":[LAYER]}`, "manifest"),
		refused("schema-word", `{"schemaVersion":"2","config":CONFIG,"layers":[LAYER]}`, "manifest"),
		refused("nan", `{"schemaVersion":NaN,"config":CONFIG,"layers":[LAYER]}`, "manifest"),
		refused("size-float", `{"schemaVersion":2,"config":CONFIG,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:00","size":1.5}]}`, "manifest"),
		refused("size-beyond", `{"schemaVersion":2,"config":CONFIG,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":9223372036854775808}]}`, "manifest"),
		refused("image-and-index", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"manifests":[]}`, "an image and an index at once"),
		refused("case-of-keys", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"MANIFESTS":[]}`, "an image and an index at once"),
		refused("two-layer-lists", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"layers":[LAYER,LAYER]}`, "twice"),
		refused("two-configs", `{"schemaVersion":2,"config":null,"config":CONFIG,"layers":[LAYER]}`, "twice"),
		refused("says-index", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":CONFIG,"layers":[LAYER]}`, "says it is"),
		refused("no-config", `{"schemaVersion":2,"layers":[LAYER]}`, "artifact"),
		refused("null-config", `{"schemaVersion":2,"config":null,"layers":[LAYER]}`, "artifact"),
		refused("artifact", `{"schemaVersion":2,"artifactType":"application/x-helm","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[LAYER]}`, "artifact"),
		refused("null-layers", `{"schemaVersion":2,"config":CONFIG,"layers":null}`, "DiffIDs for 0 layers"),
		refused("no-layers", `{"schemaVersion":2,"config":CONFIG,"layers":[]}`, "DiffIDs for 0 layers"),
		refused("null-layer", `{"schemaVersion":2,"config":CONFIG,"layers":[null]}`, "digest"),
		refused("layers-object", `{"schemaVersion":2,"config":CONFIG,"layers":{"0":LAYER}}`, "manifest"),
		refused("layer-twice", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER,LAYER]}`, "DiffIDs for 2 layers"),
		refused("layers-1000", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER`+strings.Repeat(",LAYER", 999)+`]}`, "1000 layers"),
		refused("deep", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"annotations":`+nested+`}`, "depth"),
		refused("trailing", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER]}{"schemaVersion":1}`, "manifest"),
		refused("cut", `{"schemaVersion":2,"config":CONFIG,"layers":[LAY`, "manifest"),
		refused("byte-order-mark", "\ufeff"+`{"schemaVersion":2,"config":CONFIG,"layers":[LAYER]}`, "manifest"),
		refused("utf-16", "{\x00\"\x00s\x00", "manifest"),
		refused("5-mib", `{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"annotations":{"a":"`+strings.Repeat("x", 5<<20)+`"}}`, "4 MiB|too large|limit"),
		refused("escape-codes", `{"schemaVersion":2,"config":{"mediaType":"\u001b]0;owned\u0007\u001b[2J\n"},"layers":[]}`, "artifact of type"),
		{Name: "manifest-foreign-urls", What: "are never followed", Other: OtherUntouched, Serve: func(s *Scene, name string) {
			edited(func(s *Scene, m *v1.Manifest) {
				l := &m.Layers[len(m.Layers)-1]
				l.MediaType, l.URLs = types.DockerForeignLayer, []string{s.Other.Server.URL + "/canary", "http://169.254.169.254/latest/meta-data/"}
			})(s, name)
		}, Run: shell("cat /x"), Shows: "x"},
		{Name: "manifest-inline-data", What: "a descriptor's data is not taken for the blob", Serve: inline, Refused: "no such image|not found|404"},
		{Name: "manifest-same-layer-often", What: "100 times, and its DiffID too", Serve: layers(100), Run: shell("echo ran"), Shows: "ran"},
	}
	return of(30, cases...)
}

// inline serves an image whose only layer is in its descriptor, and nowhere else.
func inline(s *Scene, name string) {
	layer := registrytest.NewLayer(registrytest.Plain, file("x", "x"))
	config := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{layer}}.ConfigJSON()
	s.Registry.PushBlob(name, config)
	data, _ := json.Marshal(layer.Tar) // as base64
	document(s, name, types.OCIManifestSchema1, fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s,"data":%s}]}`,
		descriptor(types.OCIConfigJSON, config), strings.TrimSuffix(descriptor(types.OCIUncompressedLayer, layer.Tar), "}"), data))
}

// layers serves an image with n layers that are all the same.
func layers(n int) func(*Scene, string) {
	return func(s *Scene, name string) {
		i := image(s, nil)
		for range n {
			i.Layers = append(i.Layers, registrytest.NewLayer(registrytest.Gzip, file("same", "x")))
		}
		s.Registry.Push(name, i)
	}
}

// indexes that lead nowhere, or round in circles.
func indexes() []Case {
	const platform = `,"platform":{"os":"linux","architecture":"ARCH"}}`
	entry := strings.TrimSuffix(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`, "}") + platform
	refused := func(name, manifests, words string) Case {
		return Case{Name: "index-" + name, Serve: index(`{"schemaVersion":2,"manifests":` + manifests + `}`), Refused: words}
	}
	return of(30,
		refused("empty", `[]`, "no image for"),
		refused("null-entry", `[null]`, "digest"),
		refused("no-platforms", `[IMAGE,IMAGE]`, "no image for"),
		refused("other-platform", `[{"mediaType":"x","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","platform":{"os":"\u001b[2Jplan9","architecture":"mips\n"}}]`, "no image for"),
		refused("entry-lies", `[`+entry+`]`, "came"),
		refused("entry-traversal", `[{"mediaType":"x","size":2,"digest":"sha256:../../x"`+platform+`]`, "digest|hash"),
		refused("object", `{"a":1}`, "index"),
		refused("ten-thousand", `[`+entry+strings.Repeat(","+entry, 9_999)+`]`, "came"),
		Case{Name: "index-of-itself", What: "an index whose image is an index", Serve: nestedIndex(1), Refused: "index within an index"},
		Case{Name: "index-depth-50", Serve: nestedIndex(50), Refused: "index within an index"},
		Case{Name: "index-and-image", Serve: index(`{"schemaVersion":2,"manifests":[IMAGE],"config":{},"layers":[]}`), Refused: "an image and an index at once"},
		Case{Name: "index-says-image", Serve: index(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[IMAGE]}`), Refused: "says it is"},
	)
}

// nestedIndex is an index in an index in an index.
func nestedIndex(depth int) func(*Scene, string) {
	return func(s *Scene, name string) {
		inner := []byte(`{"schemaVersion":2,"manifests":[]}`)
		for range depth {
			s.Registry.Handle("/v2/"+name+"/manifests/"+registrytest.Digest(inner), answer(string(types.OCIImageIndex), inner))
			inner = fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[%s]}`, descriptor(types.OCIImageIndex, inner))
		}
		tagged(s, name, types.OCIImageIndex, inner)
	}
}

// configs are configurations that are none.
func configs() []Case {
	whole := func(more string) string {
		return `{"os":"linux","architecture":"ARCH","rootfs":{"type":"layers","diff_ids":["DIFFID"]}` + more + `}`
	}
	refused := func(name, text, words string) Case {
		return Case{Name: "config-" + name, Serve: config(text), Refused: words}
	}
	ran := shell("echo ran")
	return of(30,
		refused("html", `<html>`, "config"),
		refused("no-document", `null`, "0 DiffIDs"),
		refused("array", `[1]`, "config"),
		refused("no-rootfs", `{"os":"linux","architecture":"ARCH"}`, "0 DiffIDs"),
		refused("rootfs-word", `{"os":"linux","architecture":"ARCH","rootfs":"layers"}`, "config"),
		refused("diffids-numbers", `{"os":"linux","architecture":"ARCH","rootfs":{"diff_ids":[1]}}`, "config"),
		refused("two-rootfs", whole(`,"rootfs":{"type":"layers","diff_ids":["DIFFID"]}`), "twice"),
		refused("other-os", `{"os":"windows","architecture":"ARCH","rootfs":{"diff_ids":["DIFFID"]}}`, "no image for"),
		refused("escape-codes", `{"os":"\u001b]0;owned\u0007","architecture":"\u001b[2J\n","rootfs":{"diff_ids":["DIFFID"]}}`, "no image for"),
		refused("deep", whole(`,"a":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), "depth"),
		refused("trailing", whole("")+`{}`, "config"),
		refused("cut", `{"os":"linux","rootfs":{"diff_ids":["DIFF`, "config"),
		refused("5-mib", whole(`,"a":"`+strings.Repeat("x", 5<<20)+`"`), "4 MiB|too large|limit"),
		Case{Name: "config-null-fields", Serve: config(whole(`,"config":{"Env":null,"Cmd":null,"Entrypoint":null,"Labels":null,"Volumes":null,"ExposedPorts":null,"Healthcheck":null,"User":null,"WorkingDir":null},"history":null,"created":null`)), Run: ran, Shows: "ran"},
		Case{Name: "config-null", Serve: config(whole(`,"config":null`)), Run: ran, Shows: "ran"},
		Case{Name: "config-wrong-types", Serve: config(whole(`,"config":{"Env":"A=b"}`)), Run: ran, Refused: "config"},
		Case{Name: "config-cmd-word", Serve: config(whole(`,"config":{"Cmd":"sh"}`)), Run: ran, Refused: "config"},
		Case{Name: "config-is-list", Serve: config(whole(`,"config":[]`)), Run: ran, Refused: "config"},
		Case{Name: "config-created-junk", Serve: config(whole(`,"created":"yesterday\u001b[2J"`)), Run: ran, Shows: "ran"},
		Case{Name: "config-history-junk", Serve: config(whole(`,"history":[{"created_by":"\u001b]0;owned\u0007","empty_layer":"maybe"}]`)), Run: ran, Shows: "ran"},
		Case{Name: "config-history-long", What: "more entries than layers", Serve: config(whole(`,"history":[{}` + strings.Repeat(",{}", 50_000) + `]`)), Run: ran, Shows: "ran"},
	)
}
