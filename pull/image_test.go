package pull

import (
	"context"
	"runtime"
	"testing"

	"rootlet/pull/registrytest"
)

func mustParse(t testing.TB, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// forHere is an image for this machine, whatever that is.
func forHere(layers ...registrytest.Layer) registrytest.Image {
	return registrytest.Image{Architecture: runtime.GOARCH, Layers: layers}
}

func file(name string) registrytest.File {
	return registrytest.File{Name: name, Body: "body of " + name}
}

func TestImage(t *testing.T) {
	small := func(c registrytest.Compression) registrytest.Layer {
		return registrytest.NewLayer(c, file("a"), registrytest.Symlink("b", "a"))
	}
	repeated := registrytest.RandomLayer(registrytest.Gzip, 7, 100_000)
	cases := map[string]registrytest.Image{
		"gzip":         forHere(small(registrytest.Gzip)),
		"zstd":         forHere(small(registrytest.Zstd)),
		"plain":        forHere(small(registrytest.Plain)),
		"no layers":    forHere(),
		"an empty tar": forHere(registrytest.NewLayer(registrytest.Gzip)),
		"several": forHere(small(registrytest.Gzip), registrytest.RandomLayer(registrytest.Zstd, 1, 3<<20),
			registrytest.RandomLayer(registrytest.Plain, 2, 1<<20), registrytest.RandomLayer(registrytest.Gzip, 3, 2<<20)),
		"the same layer thrice": forHere(repeated, small(registrytest.Gzip), repeated, repeated),
	}
	for name, image := range cases {
		for _, docker := range []bool{false, true} {
			if docker && name == "zstd" || docker && name == "several" {
				continue // schema 2 has no zstd
			}
			image.Docker = docker
			t.Run(name, func(t *testing.T) { pullAndCompare(t, image) })
		}
	}
}

func pullAndCompare(t *testing.T, image registrytest.Image) {
	registry := registrytest.New(t)
	digest := registry.Push("some/image:v1", image)
	ref := mustParse(t, registry.Host+"/some/image:v1")
	store := newMemStore()
	got, err := Image(context.Background(), ref, Options{}, store)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{ID: image.ID(), Digest: digest, Name: ref.Name(), Pulled: true}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := store.unlike(len(image.Layers), 1); err != nil {
		t.Error(err)
	}
	record := store.images[ref.Name()]
	if string(record.Config) != string(image.ConfigJSON()) || registrytest.Digest(record.Manifest) != digest || record.Created.Year() != 2020 {
		t.Errorf("record %+v", record)
	}
	for chainID := record.TopLayer; chainID != ""; chainID = store.layers[chainID].Parent {
		if l := store.layers[chainID]; l.Size == 0 || l.DiffID != store.bytes[chainID] {
			t.Errorf("layer %+v was read as %s", l, store.bytes[chainID])
		}
	}
}
