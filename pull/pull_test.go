package pull

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/pull/registrytest"
)

func mustPull(t *testing.T, name string, o Options, store Store) Result {
	t.Helper()
	result, err := Image(context.Background(), mustParse(t, name), o, store)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestPullAgain(t *testing.T) {
	r := registrytest.New(t)
	base := registrytest.NewLayer(registrytest.Gzip, file("base"))
	old := forHere(base, registrytest.NewLayer(registrytest.Gzip, file("old")))
	r.Push("some/image", old)
	store := newMemStore()
	if !mustPull(t, r.Host+"/some/image", Options{}, store).Pulled {
		t.Error("first pull says that the image was there")
	}
	blobs := r.Count("/blobs/")
	if mustPull(t, r.Host+"/some/image", Options{}, store).Pulled {
		t.Error("second pull says that it pulled")
	}
	if n := r.Count("/blobs/"); n != blobs {
		t.Errorf("second pull fetched %d blobs", n-blobs)
	}

	newer := forHere(base, registrytest.NewLayer(registrytest.Gzip, file("new")))
	r.Push("some/image", newer)
	var states sync.Map
	o := Options{Events: func(e Event) { states.Store(e.Index, e.State) }}
	if got := mustPull(t, r.Host+"/some/image", o, store); got.ID != newer.ID() || !got.Pulled {
		t.Errorf("third pull: %+v", got)
	}
	if err := store.unlike(3, 1); err != nil || store.fetched != 3 {
		t.Errorf("%v, fetched %d layers, want 3", err, store.fetched)
	}
	for i, want := range []State{Exists, Done} {
		if got, _ := states.Load(i); got != want {
			t.Errorf("layer %d ended in state %v, want %v", i, got, want)
		}
	}
}

func TestByDigest(t *testing.T) {
	r := registrytest.New(t)
	digest := r.Push("some/image:v1", forHere())
	store := newMemStore()
	got := mustPull(t, r.Host+"/some/image:wrong-tag@"+digest, Options{}, store)
	if got.Digest != digest || got.Name != r.Host+"/some/image@"+digest {
		t.Errorf("got %+v", got)
	}
}

func TestPlatforms(t *testing.T) {
	image := func(arch, variant string) registrytest.Image {
		return registrytest.Image{Architecture: arch, Variant: variant, Layers: []registrytest.Layer{registrytest.NewLayer(registrytest.Gzip, file(arch+variant))}}
	}
	r := registrytest.New(t)
	offered := []registrytest.Image{
		image("amd64", "v3"), image("amd64", ""), image("arm64", "v8"), image("arm", "v5"), image("arm", "v6"),
		image("arm", "v7"), image("s390x", ""), image(runtime.GOARCH+"x", ""),
	}
	r.PushIndex("some/image", offered...)
	cases := []struct {
		platform string
		want     int // index into offered, -1 for none
	}{
		{"linux/amd64", 1},
		{"amd64", 1},
		{"linux/x86_64", 1},
		{"linux/amd64/v2", 1},
		{"linux/amd64/v3", 0},
		{"linux/arm64", 2},
		{"linux/aarch64/v8", 2},
		{"linux/arm", 5},
		{"linux/arm/v8", 5},
		{"linux/arm/v7", 5},
		{"linux/arm/v6", 4},
		{"linux/arm/v5", 3},
		{"LINUX/S390X", 6},
		{"linux/riscv64", -1},
		{"windows/amd64", -1},
	}
	for _, c := range cases {
		t.Run(c.platform, func(t *testing.T) {
			o := quick()
			o.Platform = c.platform
			if c.want < 0 {
				mustFail(t, r.Host+"/some/image", o, NoPlatform, "linux/s390x", "linux/arm/v7")
				return
			}
			if got := mustPull(t, r.Host+"/some/image", o, newMemStore()); got.ID != offered[c.want].ID() {
				t.Errorf("got image %s, want %s", got.ID, offered[c.want].ID())
			}
		})
	}
	for _, bad := range []string{"linux/", "a/b/c/d", "/"} {
		mustFail(t, r.Host+"/some/image", Options{Platform: bad}, Other, "want os/arch")
	}
}

// TestPlatformOfOneThatIsThere: an image without an index is for what its config
// says, in the store as on its way there.
func TestPlatformOfOneThatIsThere(t *testing.T) {
	r := registrytest.New(t)
	r.Push("some/image", forHere(registrytest.NewLayer(registrytest.Gzip, file("a"))))
	ref, store := mustParse(t, r.Host+"/some/image"), newMemStore()
	mustPull(t, r.Host+"/some/image", quick(), store)
	for _, asItIs := range []bool{false, true} {
		o := quick()
		o.AsItIs, o.Platform = asItIs, "linux/"+runtime.GOARCH
		if result := mustPull(t, r.Host+"/some/image", o, store); result.Pulled {
			t.Error("says that it pulled")
		}
		o.Platform = "linux/s390x"
		if _, err := Image(context.Background(), ref, o, store); !errors.Is(err, NoPlatform) {
			t.Errorf("for s390x: %v", err)
		}
	}
	if err := store.unlike(1, 1); err != nil || store.fetched != 1 {
		t.Errorf("%v, fetched %d layers", err, store.fetched)
	}
}

// TestCancel ends a pull at several points; none may take a second.
func TestCancel(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	for name, fault := range map[string]registrytest.Fault{
		"handshake":       {Path: "/v2/", StallAt: -1},
		"manifest":        {Path: "manifests/", StallAt: 5},
		"blob's headers":  {Path: big, StallAt: -1},
		"blob":            {Path: big, StallAt: 500_000},
		"between retries": {Path: big, Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Push("some/image", image)
			r.Add(fault)
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(100*time.Millisecond, cancel)
			store := newMemStore()
			start := time.Now()
			_, err := Image(ctx, mustParse(t, r.Host+"/some/image"), Options{RetryDelay: time.Minute}, store)
			if took := time.Since(start); !errors.Is(err, context.Canceled) || took > time.Second {
				t.Errorf("%v after %v", err, took)
			}
			if err := store.unlike(0, 0); err != nil {
				t.Error(err)
			}
			if left := goroutinesLeft(); left != "" {
				t.Errorf("still runs:\n%s", left)
			}
		})
	}
}

// goroutinesLeft shows a goroutine of a pull that is over, if there is one
// after a second.
func goroutinesLeft() (left string) {
	stacks := make([]byte, 1<<20)
	for range 100 {
		left = ""
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "rootlet/pull.(*") || strings.Contains(stack, "rootlet/pull/registry.") {
				left = stack
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// TestLazyStore has a store that stops reading at what it takes for the end.
func TestLazyStore(t *testing.T) {
	r := registrytest.New(t)
	image := threeLayers()
	r.Push("some/image", image)
	store := newMemStore()
	store.lazy = true
	mustPull(t, r.Host+"/some/image", Options{}, store)

	r.Add(registrytest.Fault{Path: registrytest.Digest(image.Layers[1].Blob()), Corrupt: true})
	store = newMemStore()
	store.lazy = true
	if _, err := Image(context.Background(), mustParse(t, r.Host+"/some/image"), quick(), store); !errors.Is(err, DigestMismatch) {
		t.Errorf("error %v, want a digest mismatch", err)
	}
	if err := store.unlike(0, 0); err != nil {
		t.Error(err)
	}
}

func TestBomb(t *testing.T) {
	zeros := registrytest.Layer{Tar: make([]byte, 300<<20), Compression: registrytest.Zstd}
	r := registrytest.New(t)
	r.Push("some/image", forHere(zeros))
	mustFail(t, r.Host+"/some/image", quick(), TooLarge, "inflates")
}

// TestMemory pulls a layer much larger than what a pull may hold.
func TestMemory(t *testing.T) {
	const size = 64 << 20
	r := registrytest.New(t)
	r.Push("some/image", forHere(registrytest.RandomLayer(registrytest.Plain, 1, size)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mustPull(t, r.Host+"/some/image", Options{}, newMemStore())
	runtime.ReadMemStats(&after)
	// All that was ever allocated, the registry's part of it in this process
	// included; the chunks are used again and again.
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("allocated %d MiB for a layer of %d MiB", got>>20, size>>20)
	}
}

func TestEvents(t *testing.T) {
	r := registrytest.New(t)
	image := threeLayers()
	r.Push("some/image", image)
	size := int64(len(image.Layers[1].Blob()))
	r.Add(registrytest.Fault{Path: registrytest.Digest(image.Layers[1].Blob()), Slow: 10 * time.Millisecond})
	var seen []Event
	mustPull(t, r.Host+"/some/image", Options{Events: func(e Event) {
		if e.Index == 1 {
			seen = append(seen, e) // calls never overlap; the race detector watches
		}
	}}, newMemStore())
	first, last := seen[0], seen[len(seen)-1]
	if first.State != Waiting || last.State != Done || last.Fetched != size || last.Size != size {
		t.Errorf("first %+v, last %+v, size %d", first, last, size)
	}
	if most := 4 + int(time.Second/eventGap); len(seen) > most || len(seen) < 5 {
		t.Errorf("%d events in under a second, want 5 to %d", len(seen), most)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].State < seen[i-1].State || seen[i].Fetched < seen[i-1].Fetched {
			t.Errorf("went back from %+v to %+v", seen[i-1], seen[i])
		}
	}
}

func TestInstall(t *testing.T) {
	tar := registrytest.Tar(file("hello"))
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(tar))), nil }
	cfg := []byte(`{"os":"linux","architecture":"amd64","created":"2020-01-02T03:04:05Z","config":{"Cmd":["/hello"]}}`)
	store := newMemStore()
	const name = "docker.io/library/hello:latest"
	first, err := Install(context.Background(), name, cfg, []Opener{open, open}, Options{}, store)
	if err != nil || !first.Pulled {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := store.unlike(2, 1); err != nil {
		t.Error(err)
	}
	record := store.images[name]
	c, err := parseConfig(record.Config, 2)
	if err != nil || !strings.Contains(string(record.Config), "/hello") || c.created().Year() != 2020 {
		t.Errorf("config %s: %v", record.Config, err)
	}
	if m, err := parseManifest(record.Manifest); err != nil || len(m.Layers) != 2 {
		t.Errorf("manifest %s: %v", record.Manifest, err)
	}
	again, err := Install(context.Background(), name, cfg, []Opener{open, open}, Options{}, store)
	if err != nil || again.Pulled || again.ID != first.ID || again.Digest != first.Digest {
		t.Errorf("again: %+v, %v", again, err)
	}
	broken := func() (io.ReadCloser, error) { return nil, os.ErrNotExist }
	if _, err := Install(context.Background(), name, cfg, []Opener{broken}, Options{}, store); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("broken opener: %v", err)
	}
}
