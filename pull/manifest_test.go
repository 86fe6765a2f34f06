package pull

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/grammar"
)

// TestChainIDs has its values from the definition in OCI image-spec config.md,
// worked out with sha256sum.
func TestChainIDs(t *testing.T) {
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	got := chainIDs([]string{a, b})
	if got[0] != a || got[1] != "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c" {
		t.Errorf("got %q", got)
	}
	if len(chainIDs(nil)) != 0 {
		t.Error("a chain of no layers")
	}
}

func FuzzManifest(f *testing.F) {
	digest := "sha256:" + strings.Repeat("a", 64)
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+digest+`","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"`+digest+`","size":1}]}`), "application/vnd.oci.image.manifest.v1+json")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`), "")
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":null}`), "text/html")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		index, err := isIndex(body, types.MediaType(contentType))
		if err != nil || index {
			return
		}
		m, err := parseManifest(body)
		if err != nil {
			return
		}
		for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
			if !grammar.IsDigest(d.Digest.String()) || d.Size < 0 {
				t.Errorf("let %+v through", d)
			}
		}
		p := &plan{}
		diffIDs := make([]string, len(m.Layers))
		if err := p.addLayers(m.Layers, diffIDs, nil); err != nil || len(p.layers) > MaxLayers {
			t.Errorf("%d layers, %v", len(p.layers), err)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"platform":{"os":"linux","architecture":"arm","variant":"v7"}},{}]}`), "linux/arm")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{}]}`), "amd64")
	f.Fuzz(func(t *testing.T, body []byte, platform string) {
		want, err := parsePlatform(platform)
		if err != nil {
			return
		}
		index, err := parseIndex(body)
		if err != nil {
			return
		}
		d, err := choose(index, want)
		if err == nil && d.Platform != nil && (d.Platform.OS != want.OS || usual(*d.Platform).Architecture != want.Architecture) {
			t.Errorf("chose %v for %v", d.Platform, want)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"amd64","created":"2020-01-02T03:04:05Z","rootfs":{"diff_ids":["sha256:`+strings.Repeat("a", 64)+`"]}}`), 1)
	f.Add([]byte(`{"created":"yesterday"}`), 0)
	f.Fuzz(func(t *testing.T, body []byte, layers int) {
		c, err := parseConfig(body, layers)
		if err != nil {
			return
		}
		_ = c.created()
		for _, d := range c.RootFS.DiffIDs {
			if !grammar.IsDigest(d) {
				t.Errorf("let DiffID %q through", d)
			}
		}
	})
}
