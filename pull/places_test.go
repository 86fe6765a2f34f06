package pull

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rootlet/pull/registry"
	"rootlet/pull/registrytest"
)

// mirrorsOf are endpoints of the same repository, the last of which is the
// registry itself.
func mirrorsOf(all ...*registrytest.Registry) []registry.Config {
	var list []registry.Config
	for i, r := range all {
		list = append(list, registry.Config{Host: r.Host, Repository: "some/image", Mirror: i < len(all)-1})
	}
	return list
}

func TestMirrors(t *testing.T) {
	image := threeLayers()
	layer := registrytest.Digest(image.Layers[1].Blob())
	whole := func(r *registrytest.Registry) { r.Push("some/image", image) }
	for _, c := range []struct {
		name   string
		mirror func(*registrytest.Registry)
		blobs  int // that the registry itself serves
	}{
		{"has it all", whole, 0},
		{"has nothing", func(*registrytest.Registry) {}, 4},
		{"is down", func(r *registrytest.Registry) { r.Server.Close() }, 4},
		{"wants a login", func(r *registrytest.Registry) { whole(r); r.RequireBasic("a", "b") }, 4},
		{"lacks a layer", func(r *registrytest.Registry) {
			whole(r)
			r.Add(registrytest.Fault{Path: layer, Status: http.StatusNotFound})
		}, 1},
		{"breaks in a layer", func(r *registrytest.Registry) {
			whole(r)
			r.Add(registrytest.Fault{Path: layer, Times: 1, Truncate: 100})
			r.Add(registrytest.Fault{Path: layer, Status: http.StatusBadGateway})
		}, 1},
		{"sends another layer", func(r *registrytest.Registry) {
			whole(r)
			r.Add(registrytest.Fault{Path: layer, Corrupt: true})
		}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			mirror, main := registrytest.New(t), registrytest.New(t)
			c.mirror(mirror)
			whole(main)
			o := quick()
			o.Endpoints = mirrorsOf(mirror, main)
			mustPull(t, main.Host+"/some/image", o, newMemStore())
			if n := main.Count("/blobs/"); n != c.blobs {
				t.Errorf("the registry itself served %d blobs, want %d", n, c.blobs)
			}
		})
	}
}

// TestMirrorDiesInABlob: what has come is not fetched again.
func TestMirrorDiesInABlob(t *testing.T) {
	mirror, main := registrytest.New(t), registrytest.New(t)
	image := registrytest.Image{Layers: []registrytest.Layer{registrytest.RandomLayer(registrytest.Plain, 1, 1<<20)}}
	mirror.Push("some/image", image)
	main.Push("some/image", image)
	body := image.Layers[0].Blob()
	digest := registrytest.Digest(body)
	mirror.Add(registrytest.Fault{Path: digest, Times: 1, Truncate: 600 << 10})
	mirror.Add(registrytest.Fault{Path: digest, Status: http.StatusServiceUnavailable})
	endpoints := mirrorsOf(mirror, main)
	for i := range endpoints {
		endpoints[i].RetryDelay = time.Millisecond
	}
	src := From(endpoints)
	defer src.Close()
	blob, err := src.Blob(context.Background(), digest, int64(len(body)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got, err := io.ReadAll(blob)
	if err != nil || string(got) != string(body) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	want := fmt.Sprintf("bytes=%d-", 600<<10)
	for _, req := range main.Requests() {
		if strings.Contains(req.URL.Path, "/blobs/") && !strings.HasPrefix(req.Header.Get("Range"), want) {
			t.Errorf("the next place was asked for %q, want %s", req.Header.Get("Range"), want)
		}
	}
}

// TestMirrorLies: a manifest that is not what its digest says is asked of the next.
func TestMirrorLies(t *testing.T) {
	mirror, main := registrytest.New(t), registrytest.New(t)
	digest := main.Push("some/image", threeLayers())
	mirror.Add(registrytest.Fault{Path: "/manifests/", Body: []byte("{}"), Status: http.StatusOK})
	o := quick()
	o.Endpoints = mirrorsOf(mirror, main)
	mustPull(t, main.Host+"/some/image@"+digest, o, newMemStore())
}

func TestAllFail(t *testing.T) {
	mirror, main := registrytest.New(t), registrytest.New(t)
	mirror.Server.Close()
	o := quick()
	o.Endpoints = mirrorsOf(mirror, main)
	mustFail(t, main.Host+"/some/image", o, NotFound, "no such image in registry "+main.Host, "before that", mirror.Host)
}
