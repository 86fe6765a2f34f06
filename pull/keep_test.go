package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/pull/blobs"
	"rootlet/pull/registrytest"
)

// keeping are quick options with an empty store of blobs, in the directory.
func keeping(t *testing.T) (Options, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "blobs")
	kept, err := blobs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := quick()
	o.Blobs = kept
	return o, dir
}

// mustHave compares what is kept with an image's layers.
func mustHave(t *testing.T, o Options, dir string, image registrytest.Image) {
	t.Helper()
	list, err := o.Blobs.List()
	if err != nil || len(list) != len(image.Layers) {
		t.Errorf("%d blobs, want %d: %v", len(list), len(image.Layers), err)
	}
	for _, l := range image.Layers {
		r, size, err := o.Blobs.Read(registrytest.Digest(l.Blob()))
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || size != int64(len(l.Blob())) || !bytes.Equal(got, l.Blob()) {
			t.Errorf("%d bytes of %d: %v", len(got), len(l.Blob()), err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "partial")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestBrokenOff has a pull lose its registry in the middle, and the next one go
// on from there.
func TestBrokenOff(t *testing.T) {
	image := threeLayers()
	big := registrytest.Digest(image.Layers[1].Blob())
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Add(registrytest.Fault{Path: big, Truncate: 500_000, NoRange: true})
	o, dir := keeping(t)
	store := newMemStore()
	if _, err := Image(context.Background(), mustParse(t, r.Host+"/some/image"), o, store); !errors.Is(err, Truncated) {
		t.Fatal(err)
	}
	if err := store.unlike(0, 0); err != nil {
		t.Error(err)
	}
	r.Clear()
	before := len(r.Requests())
	want := fmt.Sprintf("bytes=500000-%d", len(image.Layers[1].Blob())-1)
	mustPull(t, r.Host+"/some/image", o, store)
	for _, request := range r.Requests()[before:] {
		if !strings.Contains(request.URL.Path, "/blobs/") || strings.Contains(request.URL.Path, registrytest.Digest(image.ConfigJSON())) {
			continue
		}
		if got := request.Header.Get("Range"); !strings.HasSuffix(request.URL.Path, big) || got != want {
			t.Errorf("asked for %s with the range %q", request.URL.Path, got)
		}
	}
	mustHave(t, o, dir, image)
	if err := store.unlike(3, 1); err != nil {
		t.Error(err)
	}
}

// TestWhatIsLeftIsDamaged has files of an earlier try that are none of the blob.
func TestWhatIsLeftIsDamaged(t *testing.T) {
	image := threeLayers()
	blob := image.Layers[1].Blob()
	hex := strings.TrimPrefix(registrytest.Digest(blob), "sha256:")
	flipped := bytes.Clone(blob)
	flipped[len(flipped)/2] ^= 1
	for name, file := range map[string]struct {
		path string
		text []byte
	}{
		"partial of something else": {"partial/" + hex, bytes.Repeat([]byte("no blob "), 10_000)},
		"partial of zeros":          {"partial/" + hex, make([]byte, 1<<20)},
		"partial that is too long":  {"partial/" + hex, append(bytes.Clone(blob), 0)},
		"partial, one bit flipped":  {"partial/" + hex, flipped[:len(flipped)*3/4]},
		"whole, one bit flipped":    {"sha256/" + hex, flipped},
		"whole, cut":                {"sha256/" + hex, blob[:100]},
		"whole, emptied":            {"sha256/" + hex, nil},
		"packed, of garbage":        {"sha256/" + hex + ".zst", blob},
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			r.Push("some/image", image)
			o, dir := keeping(t)
			if err := os.WriteFile(filepath.Join(dir, file.path), file.text, 0o600); err != nil {
				t.Fatal(err)
			}
			store := newMemStore()
			mustPull(t, r.Host+"/some/image", o, store)
			mustHave(t, o, dir, image)
			if err := store.unlike(3, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWrongImageLeavesNothing has the last layer be a lie; what another image has
// stays.
func TestWrongImageLeavesNothing(t *testing.T) {
	image := threeLayers()
	other := forHere(image.Layers[0])
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Push("some/other", other)
	o, dir := keeping(t)
	store := newMemStore()
	mustPull(t, r.Host+"/some/other", o, store)
	r.Add(registrytest.Fault{Path: registrytest.Digest(image.Layers[1].Blob()), Corrupt: true})
	if _, err := Image(context.Background(), mustParse(t, r.Host+"/some/image"), o, store); !errors.Is(err, DigestMismatch) {
		t.Fatal(err)
	}
	mustHave(t, o, dir, other)
	if err := store.unlike(1, 1); err != nil {
		t.Error(err)
	}
}

// TestBlobIsMissing has a pull of an image that is there bring back its blob, and
// nothing else.
func TestBlobIsMissing(t *testing.T) {
	image := threeLayers()
	r := registrytest.New(t)
	r.Push("some/image", image)
	o, dir := keeping(t)
	store := newMemStore()
	mustPull(t, r.Host+"/some/image", o, store)
	if err := o.Blobs.Remove(registrytest.Digest(image.Layers[1].Blob())); err != nil {
		t.Fatal(err)
	}
	before := r.Count("/blobs/")
	if mustPull(t, r.Host+"/some/image", o, store).Pulled {
		t.Error("says that the image was not there")
	}
	if n := r.Count("/blobs/") - before; n != 2 || store.fetched != 3 {
		t.Errorf("%d blobs were fetched, want it and the config; %d layers unpacked, want 3", n, store.fetched)
	}
	mustHave(t, o, dir, image)
}

func TestDropBlobs(t *testing.T) {
	image := threeLayers()
	r := registrytest.New(t)
	r.Push("some/image", image)
	o, dir := keeping(t)
	o.DropBlobs = true
	store := newMemStore()
	mustPull(t, r.Host+"/some/image", o, store)
	mustHave(t, o, dir, registrytest.Image{})
	before := r.Count("/blobs/")
	if mustPull(t, r.Host+"/some/image", o, store).Pulled || r.Count("/blobs/") != before {
		t.Error("the second pull fetched something")
	}
}

// TestSameAtOnce has eight pull the same image, and others one that shares a
// layer, into one store: each blob comes once, each layer is unpacked once.
func TestSameAtOnce(t *testing.T) {
	image := threeLayers()
	other := forHere(image.Layers[0], image.Layers[2])
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Push("some/other", other)
	o, _ := keeping(t)
	store := newMemStore()
	var all sync.WaitGroup
	for i := range 12 {
		name := "/some/image"
		if i%3 == 2 {
			name = "/some/other"
		}
		all.Go(func() {
			if _, err := Image(context.Background(), mustParse(t, r.Host+name), o, store); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, l := range image.Layers {
		if n := r.Count(registrytest.Digest(l.Blob())); n != 1 {
			t.Errorf("a blob was fetched %d times", n)
		}
	}
	if store.fetched != 4 {
		t.Errorf("%d layers were unpacked, want 4", store.fetched)
	}
	if err := store.unlike(4, 2); err != nil {
		t.Error(err)
	}
}

// TestCommittedEarly has the uppermost layer not come: those below are there
// nevertheless, until the pull ends.
func TestCommittedEarly(t *testing.T) {
	image := threeLayers()
	r := registrytest.New(t)
	r.Push("some/image", image)
	r.Add(registrytest.Fault{Path: registrytest.Digest(image.Layers[2].Blob()), StallAt: 10})
	ctx, cancel := context.WithCancel(context.Background())
	store := newMemStore()
	o, _ := keeping(t)
	o.Silence = time.Minute
	ended := make(chan error, 1)
	go func() {
		_, err := Image(ctx, mustParse(t, r.Host+"/some/image"), o, store)
		ended <- err
	}()
	for deadline := time.Now().Add(5 * time.Second); store.layerCount() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the layers below are not committed")
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := store.unlike(0, 0); err != nil {
		t.Error(err)
	}
}

// TestPackedWhileUnpacked has what comes uncompressed from this host be kept
// packed, and read once.
func TestPackedWhileUnpacked(t *testing.T) {
	tar := registrytest.Tar(file("hello"))
	opened := 0
	open := func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(bytes.NewReader(tar)), nil
	}
	cfg := []byte(`{"os":"linux","architecture":"amd64","config":{}}`)
	o, dir := keeping(t)
	if _, err := Install(context.Background(), "docker.io/library/hello:latest", cfg, []Opener{open}, o, newMemStore()); err != nil {
		t.Fatal(err)
	}
	list, err := o.Blobs.List()
	if err != nil || len(list) != 1 || !list[0].Packed || opened != 2 { // once for its digest
		t.Errorf("%+v, %v, opened %d times", list, err, opened)
	}
	mustHave(t, o, dir, registrytest.Image{Layers: []registrytest.Layer{{Tar: tar, Compression: registrytest.Plain}}})
}

// TestLimits has each limit be too low for an image, and named.
func TestLimits(t *testing.T) {
	image := threeLayers()
	r := registrytest.New(t)
	r.Push("some/image", image)
	for key, l := range map[string]Limits{
		"layers":     {Layers: 2},
		"layer-size": {LayerSize: 1 << 20},
		"image-size": {ImageSize: int64(len(image.Layers[1].Blob())) + 1000},
	} {
		o, dir := keeping(t)
		o.Limits = l
		err := mustFail(t, r.Host+"/some/image", o, TooLarge, "limit "+key)
		if !strings.Contains(err.Hint(), key) {
			t.Errorf("the hint %q does not name %s", err.Hint(), key)
		}
		mustHave(t, o, dir, registrytest.Image{})
	}
	zeros := registrytest.Layer{Tar: make([]byte, 150<<20), Compression: registrytest.Zstd}
	r.Push("some/zeros", forHere(zeros))
	o, dir := keeping(t)
	o.Limits.Ratio = 10
	mustFail(t, r.Host+"/some/zeros", o, TooLarge, "limit ratio")
	mustHave(t, o, dir, registrytest.Image{})
}

// TestBlobsOfOthers pulls with others' blobs at hand: what is right is not fetched, what
// is not is.
func TestBlobsOfOthers(t *testing.T) {
	image := threeLayers()
	for name, change := range map[string]func(blob []byte) []byte{
		"right":           bytes.Clone,
		"one bit flipped": func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b },
		"cut":             func(b []byte) []byte { return b[:len(b)/2] },
		"emptied":         func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, l := range image.Layers {
				file := strings.TrimPrefix(registrytest.Digest(l.Blob()), "sha256:")
				if err := os.WriteFile(filepath.Join(dir, file), change(l.Blob()), 0o444); err != nil {
					t.Fatal(err)
				}
			}
			theirs, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			r := registrytest.New(t)
			r.Push("some/image", image)
			o, own := keeping(t)
			o.Blobs = o.Blobs.With([]*os.File{theirs})
			store := newMemStore()
			mustPull(t, r.Host+"/some/image", o, store)
			if err := store.unlike(3, 1); err != nil && name == "right" {
				t.Error(err)
			}
			asked := 0
			for _, request := range r.Requests() {
				if strings.Contains(request.URL.Path, "/blobs/") && !strings.Contains(request.URL.Path, registrytest.Digest(image.ConfigJSON())) {
					asked++
				}
			}
			if (asked > 0) == (name == "right") {
				t.Errorf("%d layers were fetched", asked)
			}
			if name != "right" {
				mustHave(t, o, own, image)
			}
		})
	}
}
