package own

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"rootlet/pull/serve"
	"rootlet/pull/serve/folder"
)

func TestPaths(t *testing.T) {
	for name, want := range map[string]string{
		"docker.io/library/debian:12":   "debian library/debian docker.io/library/debian 12",
		"docker.io/me/app:1":            "me/app docker.io/me/app 1",
		"localhost:5000/me/app:1":       "me/app 1",
		"127.0.0.1:5000/app:1":          "app 1",
		"[::1]:5000/app:1":              "app 1",
		"localhost/app:1":               "app 1",
		"quay.io/me/app:1":              "quay.io/me/app 1",
		"reg.example:5000/me/app:1":     "reg.example_5000/me/app 1",
		"REG.example/app:1":             "reg.example/app 1",
		"quay.io/me/app@sha256:00":      "",
		"quay.io/me/app:1@sha256:00":    "",
		"quay.io/me/app":                "",
		"app:1":                         "",
		"quay.io/../etc:1":              "",
		"quay.io/a:" + "b/c":            "",
		"[2001:db8::1]:5000/app:1":      "", // no path can say it
		"localhost.example:5000/app:v1": "localhost.example_5000/app v1",
	} {
		paths, tag := Paths(name)
		if got := strings.TrimSpace(strings.Join(append(paths, tag), " ")); got != want {
			t.Errorf("%s: %q and not %q", name, got, want)
		}
	}
}

// images are two: one whole, one whose layer was not kept.
type images struct {
	names  map[string][]string
	docs   map[string][2][]byte
	layers map[string][]byte
}

func (i *images) Names() (map[string][]string, error) { return i.names, nil }

func (i *images) Image(id string) (manifest, config []byte, err error) {
	if d, ok := i.docs[id]; ok {
		return d[0], d[1], nil
	}
	return nil, nil, serve.ErrNotThere
}

func (i *images) Blob(digest string) (io.ReadSeekCloser, error) {
	layer, ok := i.layers[digest]
	if !ok {
		return nil, serve.ErrNotThere
	}
	return &Sequential{Size: int64(len(layer)), Open: func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer[offset:])), nil
	}}, nil
}

func sum(content []byte) serve.Digest { return serve.Digest("sha256:").Of(content) }

func (i *images) add(id string, layer []byte, names ...string) serve.Digest {
	config := []byte(`{"id":"` + id + `"}`)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":"%s"},"layers":[{"digest":"%s","size":%d}]}`, sum(config), sum(layer), len(layer))
	i.names[id], i.docs[id], i.layers[string(sum(layer))] = names, [2][]byte{manifest, config}, layer
	return sum(manifest)
}

func newStorage(t *testing.T) (*Storage, *images) {
	t.Helper()
	f, err := folder.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	i := &images{map[string][]string{}, map[string][2][]byte{}, map[string][]byte{}}
	return &Storage{Folder: f, Images: i}, i
}

func read(t *testing.T, s *Storage, repository string, d serve.Digest) string {
	t.Helper()
	r, err := s.Blob(repository, d)
	if err != nil {
		t.Fatalf("%s %s: %v", repository, d, err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestImagesAreServedUnderTheirNames(t *testing.T) {
	s, i := newStorage(t)
	m := i.add("1", []byte("layer"), "docker.io/library/debian:12", "docker.io/library/debian:latest", "localhost:5000/mine:v1")
	i.add("2", []byte("other"), "quay.io/a/b:c")
	i.names["removed as we read"] = []string{"docker.io/library/debian:gone"}
	i.names["no name"] = nil
	if all, err := s.Repositories(); err != nil || !slices.Equal(all, []string{"debian", "mine", "quay.io/a/b"}) {
		t.Errorf("%q, %v", all, err)
	}
	for _, repository := range []string{"debian", "library/debian", "docker.io/library/debian"} {
		if tags, err := s.Tags(repository); err != nil || !slices.Equal(tags, []string{"12", "latest"}) {
			t.Errorf("%q, %v", tags, err)
		}
		if d, err := s.Tag(repository, "12"); err != nil || d != m {
			t.Errorf("%s, %v", d, err)
		}
		if found, err := s.Manifest(repository, m); err != nil || found.Digest != m || found.MediaType == "" {
			t.Errorf("%v, %v", found, err)
		}
		if got := read(t, s, repository, sum([]byte("layer"))); got != "layer" {
			t.Errorf("%q", got)
		}
		if got := read(t, s, repository, sum([]byte(`{"id":"1"}`))); got != `{"id":"1"}` {
			t.Errorf("%q", got)
		}
	}
	// Not what another repository has.
	if _, err := s.Blob("quay.io/a/b", sum([]byte("layer"))); !errors.Is(err, serve.ErrNotThere) {
		t.Errorf("%v", err)
	}
	if _, err := s.Manifest("quay.io/a/b", m); !errors.Is(err, serve.ErrNotThere) {
		t.Errorf("%v", err)
	}
	if _, err := s.Tags("nothing"); !errors.Is(err, serve.ErrNoRepository) {
		t.Errorf("%v", err)
	}
	// The bytes of a layer may not have been kept.
	i.layers[string(sum([]byte("layer")))] = []byte("lay")
	if _, err := s.Blob("debian", sum([]byte("layer"))); !errors.Is(err, serve.ErrNotKept) {
		t.Errorf("cut short: %v", err)
	}
	delete(i.layers, string(sum([]byte("layer"))))
	if _, err := s.Blob("debian", sum([]byte("layer"))); !errors.Is(err, serve.ErrNotKept) {
		t.Errorf("not kept: %v", err)
	}
}

func TestImagesOfTheUserAreNotForClientsToRemove(t *testing.T) {
	s, i := newStorage(t)
	m := i.add("1", []byte("layer"), "docker.io/library/debian:12")
	var readOnly *serve.ReadOnly
	for what, err := range map[string]error{
		"tag": s.RemoveTag("debian", "12"), "manifest": s.RemoveManifest("debian", m), "blob": s.RemoveBlob("debian", sum([]byte("layer"))),
	} {
		if !errors.As(err, &readOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"tag": s.RemoveTag("debian", "13"), "manifest": s.RemoveManifest("debian", sum(nil)), "blob": s.RemoveBlob("debian", sum(nil)),
	} {
		if !errors.Is(err, serve.ErrNotThere) {
			t.Errorf("%s that is not there: %v", what, err)
		}
	}
	if d, err := s.Tag("debian", "12"); err != nil || d != m {
		t.Errorf("%s, %v", d, err)
	}
}

// What is pushed stays whole when the image that it shares blobs with goes, and
// counts before it.
func TestWhatIsPushedDependsOnNoImage(t *testing.T) {
	s, i := newStorage(t)
	var pushed []string
	s.Pushed = func(repository, tag string, d serve.Digest) { pushed = append(pushed, repository+":"+tag) }
	old := i.add("1", []byte("layer"), "docker.io/library/debian:12")
	m, err := s.Manifest("debian", old)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := s.Mount("mine", "debian", sum([]byte("layer"))); !there || err != nil {
		t.Errorf("mount: %v, %v", there, err)
	}
	var missing *serve.MissingError
	if err := s.PutManifest("mine", m, []string{"v1"}); !errors.As(err, &missing) || len(missing.Digests) != 1 {
		t.Errorf("without its config: %v", err)
	}
	if err := s.PutManifest("debian", m, []string{"new", "12"}); err != nil {
		t.Fatal(err)
	}
	index, err := serve.ParseManifest(fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"digest":"%s"}]}`, old), "")
	if err == nil {
		err = s.PutManifest("library/debian", index, []string{"12"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(pushed, []string{"debian:new", "debian:12", "library/debian:12"}) {
		t.Errorf("%q", pushed)
	}
	clear(i.names)
	clear(i.layers)
	if got := read(t, s, "debian", sum([]byte("layer"))); got != "layer" {
		t.Errorf("%q", got)
	}
	if got := read(t, s, "library/debian", sum([]byte(`{"id":"1"}`))); got != `{"id":"1"}` {
		t.Errorf("%q", got)
	}
	if d, err := s.Tag("library/debian", "12"); err != nil || d != index.Digest {
		t.Errorf("%s, %v", d, err)
	}
}

// What was pushed and is an image by now is no longer served when it was
// deleted, and the image stays.
func TestWhatWasPushedCanBeDeleted(t *testing.T) {
	s, i := newStorage(t)
	layer := []byte("layer")
	d := i.add("1", layer, "localhost:5000/mine:v1", "localhost:5000/mine:v2")
	m, err := s.Manifest("mine", d)
	if err == nil {
		err = s.PutManifest("mine", m, []string{"v1", "v2"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveTag("mine", "v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tag("mine", "v1"); !errors.Is(err, serve.ErrNotThere) {
		t.Errorf("the tag: %v", err)
	}
	if tags, err := s.Tags("mine"); err != nil || !slices.Equal(tags, []string{"v2"}) {
		t.Errorf("%q, %v", tags, err)
	}
	if err := errors.Join(s.RemoveManifest("mine", d), s.RemoveBlob("mine", sum(layer))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest("mine", d); !errors.Is(err, serve.ErrNotThere) {
		t.Errorf("the manifest: %v", err)
	}
	if _, err := s.Blob("mine", sum(layer)); !errors.Is(err, serve.ErrNotThere) {
		t.Errorf("the blob: %v", err)
	}
	if len(i.names["1"]) != 2 {
		t.Error("the image lost a name")
	}
	// Another image that gets the tag is seen.
	other := i.add("2", []byte("new"), "localhost:5000/mine:v1")
	if d, err := s.Tag("mine", "v1"); err != nil || d != other {
		t.Errorf("%s, %v", d, err)
	}
}

func TestSequential(t *testing.T) {
	text, opened := "0123456789", 0
	s := &Sequential{Size: 10, Open: func(offset int64) (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader(text[offset:])), nil
	}}
	if end, err := s.Seek(0, io.SeekEnd); end != 10 || err != nil {
		t.Errorf("%d, %v", end, err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Seek(4, io.SeekStart); err != nil || opened != 0 {
		t.Errorf("%v, opened %d times", err, opened)
	}
	if got, err := io.ReadAll(s); string(got) != "456789" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if at, err := s.Seek(-3, io.SeekCurrent); at != 7 || err != nil {
		t.Errorf("%d, %v", at, err)
	}
	if got, err := io.ReadAll(s); string(got) != "789" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Seek(-1, io.SeekStart); err == nil {
		t.Error("before the beginning")
	}
}
