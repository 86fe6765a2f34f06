package hostile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registrytest"
)

// image is the base with more layers on it.
func image(s *Scene, config map[string]any, layers ...registrytest.Layer) registrytest.Image {
	return registrytest.Image{
		Layers:       append([]registrytest.Layer{s.Base}, layers...),
		Architecture: arch,
		Config:       config,
	}
}

// members serves an image whose last layer has these members.
func members(files ...registrytest.File) func(*Scene, string) {
	return configured(nil, files...)
}

// configured serves an image with a configuration, and members.
func configured(config map[string]any, files ...registrytest.File) func(*Scene, string) {
	return func(s *Scene, name string) {
		var layers []registrytest.Layer
		if len(files) > 0 {
			layers = append(layers, registrytest.NewLayer(registrytest.Gzip, placed(s, files)...))
		}
		s.Registry.Push(name, image(s, placedConfig(s, config), layers...))
	}
}

// placed has members lead to the victim: VICTIM stands for its directory.
func placed(s *Scene, files []registrytest.File) []registrytest.File {
	out := make([]registrytest.File, len(files))
	for i, f := range files {
		f.Name = strings.ReplaceAll(f.Name, "VICTIM", s.Victim)
		f.Link = strings.ReplaceAll(f.Link, "VICTIM", s.Victim)
		out[i] = f
	}
	return out
}

func placedConfig(s *Scene, config map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range config {
		if text, ok := value.(string); ok {
			value = strings.ReplaceAll(text, "VICTIM", s.Victim)
		}
		out[key] = value
	}
	return out
}

// archived serves an image whose last layer is this tar.
func archived(tar func(s *Scene) []byte) func(*Scene, string) {
	return func(s *Scene, name string) {
		s.Registry.Push(name, image(s, nil, registrytest.Layer{Tar: tar(s), Compression: registrytest.Gzip}))
	}
}

// edited serves an image whose manifest was changed.
func edited(edit func(s *Scene, m *v1.Manifest)) func(*Scene, string) {
	return func(s *Scene, name string) {
		i := image(s, nil, registrytest.NewLayer(registrytest.Gzip, file("x", "x")))
		i.Edit = func(m *v1.Manifest) { edit(s, m) }
		s.Registry.Push(name, i)
	}
}

// Documents that are served as they stand. In a manifest, CONFIG and LAYER are
// descriptors of what is there, CONFIG of a configuration for that one layer;
// in an index, IMAGE is the descriptor of an image.

// manifest serves a text as an image's manifest.
func manifest(text string) func(*Scene, string) {
	return func(s *Scene, name string) {
		config, layer := parts(s, name, "")
		text := strings.NewReplacer("CONFIG", config, "LAYER", layer).Replace(text)
		document(s, name, types.OCIManifestSchema1, []byte(text))
	}
}

// config serves a text as the configuration of an image with one layer, whose
// DiffID is DIFFID in it.
func config(text string) func(*Scene, string) {
	return func(s *Scene, name string) {
		config, layer := parts(s, name, text)
		document(s, name, types.OCIManifestSchema1,
			fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, config, layer))
	}
}

// parts stores a configuration and a layer, and describes them.
func parts(s *Scene, name, text string) (config, layer string) {
	i := registrytest.Image{Architecture: arch, Layers: []registrytest.Layer{s.Base}, Config: map[string]any{"Labels": map[string]string{"case": name}}}
	body := i.ConfigJSON()
	if text != "" {
		body = []byte(strings.NewReplacer("DIFFID", s.Base.DiffID(), "ARCH", arch).Replace(text))
	}
	blob := s.Base.Blob()
	s.Registry.PushBlob(name, body)
	s.Registry.PushBlob(name, blob)
	return descriptor(types.OCIConfigJSON, body), descriptor(types.OCILayer, blob)
}

// index serves a text as an index.
func index(text string) func(*Scene, string) {
	return func(s *Scene, name string) {
		config, layer := parts(s, name, "")
		body := fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, config, layer)
		document(s, name, types.OCIManifestSchema1, body)
		text := strings.NewReplacer("IMAGE", descriptor(types.OCIManifestSchema1, body), "ARCH", arch).Replace(text)
		tagged(s, name, types.OCIImageIndex, []byte(text))
	}
}

func descriptor(t types.MediaType, body []byte) string {
	return fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q}`, t, len(body), registrytest.Digest(body))
}

// document answers every request for a manifest of the repository.
func document(s *Scene, name string, t types.MediaType, body []byte) {
	s.Registry.Handle("/v2/"+name+"/manifests/", answer(string(t), body))
}

// tagged answers those for its tag.
func tagged(s *Scene, name string, t types.MediaType, body []byte) {
	s.Registry.Handle("/v2/"+name+"/manifests/latest", answer(string(t), body))
}

func answer(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body) // the client may be gone
	}
}

// streamed serves an image with one layer whose blob is made while it is sent:
// its manifest says size and digest, which nobody will come to compare.
func streamed(t types.MediaType, size int64, blob func(w http.ResponseWriter)) func(*Scene, string) {
	return func(s *Scene, name string) {
		digest := registrytest.Digest([]byte(name))
		i := registrytest.Image{Architecture: arch, DiffIDs: []string{digest}}
		body := i.ConfigJSON()
		s.Registry.PushBlob(name, body)
		layer, _ := json.Marshal(map[string]any{"mediaType": t, "size": size, "digest": digest})
		document(s, name, types.OCIManifestSchema1, fmt.Appendf(nil,
			`{"schemaVersion":2,"config":%s,"layers":[%s]}`, descriptor(types.OCIConfigJSON, body), layer))
		s.Registry.Handle("/v2/"+name+"/blobs/"+digest, func(w http.ResponseWriter, _ *http.Request) { blob(w) })
	}
}
