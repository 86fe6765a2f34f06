package imagestore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// A reader needs the right to read, and leaves nothing: no file, no lock, no time.
func TestReadingChangesNothing(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "text", one)
	for path, mode := range modes(t, dir) {
		chmod(t, path, mode.Perm()&^0o222)
	}
	t.Cleanup(func() {
		for path, mode := range modes(t, dir) {
			_ = os.Chmod(path, mode.Perm()|0o200)
		}
	})
	before := stamps(t, dir)
	s := reading(t, dir)
	if _, err := s.Image(s.Entries[0]); err != nil {
		t.Error(err)
	}
	blobs, err := s.Blobs()
	if err != nil {
		t.Fatal(err)
	}
	from := From(blobs)
	defer from.Close()
	layer := image(t, "text").descriptors[0]
	r, err := from.Blob(context.Background(), layer.Digest.String(), layer.Size, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); string(text) != "ext" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for path, stamp := range stamps(t, dir) {
		if before[path] != stamp {
			t.Errorf("%s was %v, is %v", path, before[path], stamp)
		}
	}
}

type stamp struct {
	inode        uint64
	mtime, ctime unix.Timespec
}

func stamps(t *testing.T, dir string) map[string]stamp {
	t.Helper()
	all := map[string]stamp{}
	for path := range modes(t, dir) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		all[path] = stamp{st.Ino, st.Mtim, st.Ctim}
	}
	return all
}

// Whoever keeps a store can put anything into it. A reader gets what a digest says, or
// an error that does not keep him waiting and leads him nowhere.
func TestHostileStores(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "secret")
	write(t, filepath.Dir(elsewhere), "secret", "secret")
	manifest := func(dir string) string {
		return filepath.Join(dir, blobsDir, described("", image(t, "text").manifest).Digest.Hex)
	}
	for name, spoil := range map[string]func(dir string) error{
		"another manifest":     func(dir string) error { return os.WriteFile(manifest(dir), image(t, "other").manifest, 0o644) },
		"a manifest cut short": func(dir string) error { return os.Truncate(manifest(dir), 10) },
		"a manifest that grew": func(dir string) error { return os.Truncate(manifest(dir), 1<<40) },
		"no manifest":          func(dir string) error { return os.Remove(manifest(dir)) },
		"a symlink": func(dir string) error {
			return errors.Join(os.Remove(manifest(dir)), os.Symlink(elsewhere, manifest(dir)))
		},
		"a fifo": func(dir string) error {
			return errors.Join(os.Remove(manifest(dir)), unix.Mkfifo(manifest(dir), 0o644))
		},
		"a directory": func(dir string) error { return errors.Join(os.Remove(manifest(dir)), os.Mkdir(manifest(dir), 0o755)) },
		"no blobs":    func(dir string) error { return os.RemoveAll(filepath.Join(dir, "blobs")) },
		"blobs behind a link": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "blobs")), os.Symlink(filepath.Dir(elsewhere), filepath.Join(dir, "blobs")))
		},
		"a list that is a fifo": func(dir string) error {
			return spoilList(dir, func(path string) error { return unix.Mkfifo(path, 0o644) })
		},
		"a list behind a link": func(dir string) error {
			return spoilList(dir, func(path string) error { return os.Symlink(elsewhere, path) })
		},
		"a list that is none": func(dir string) error {
			return spoilList(dir, func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) })
		},
		"a list without end": func(dir string) error {
			return spoilList(dir, func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40)) })
		},
		"everybody may write": func(dir string) error { return os.Chmod(dir, 0o757) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			publish(t, dir, "text", one)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err == nil {
				defer s.Close()
				_, err = s.Image(s.Entries[0])
			}
			if err == nil {
				t.Fatal("an image was read")
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("it tells: %v", err)
			}
		})
	}
}

func spoilList(dir string, make func(path string) error) error {
	path := filepath.Join(dir, indexFile)
	return errors.Join(os.Remove(path), make(path))
}

// All documents of a store together are bounded.
func TestDocumentsAreBounded(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "text", one)
	s := reading(t, dir)
	s.read = maxDocuments - 1
	if _, err := s.Image(s.Entries[0]); err == nil || !strings.Contains(err.Error(), "more than 128 MiB") {
		t.Error(err)
	}
}

// A layer that changes while it is read is of the size that it was to have, at most.
func TestBlobThatGrows(t *testing.T) {
	dir := t.TempDir()
	m := publish(t, dir, "text", one)
	s := reading(t, dir)
	blobs, err := s.Blobs()
	if err != nil {
		t.Fatal(err)
	}
	from := From(blobs)
	defer from.Close()
	r, err := from.Blob(context.Background(), m.descriptors[0].Digest.String(), 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(dir, blobsDir, m.descriptors[0].Digest.Hex), 1<<30); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); n != 4 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := from.Blob(context.Background(), m.descriptors[0].Digest.String(), 4, 0); err == nil {
		t.Error("a blob of another size was opened")
	}
	for _, digest := range []string{"sha256:../../x", "md5:00", "sha256:", ""} {
		if _, err := from.Blob(context.Background(), digest, 4, 0); err == nil {
			t.Errorf("%q was opened", digest)
		}
	}
}

// Layouts of other programs are read as far as they are understood.
func TestLayoutOfOthers(t *testing.T) {
	dir := t.TempDir()
	m := publish(t, dir, "text", one)
	hex := described("", m.manifest).Digest.Hex
	for annotations, want := range map[string]string{
		`{"org.opencontainers.image.ref.name":"latest"}`:                                        "",
		`{"org.opencontainers.image.ref.name":"example.com/a:1"}`:                               "example.com/a:1",
		`{"io.containerd.image.name":"docker.io/library/b:2"}`:                                  "docker.io/library/b:2",
		`{"io.containerd.image.name":"x:\u0000"}`:                                               "",
		`{"rootlet.layer-sizes":"-1"}`:                                                          "",
		`{"rootlet.layer-sizes":"1,2","org.opencontainers.image.ref.name":"example.com/a:tag"}`: "example.com/a:tag",
	} {
		write(t, dir, indexFile, `{"schemaVersion":2,"manifests":[
			{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:`+strings.Repeat("0", 64)+`","size":1},
			{"digest":"sha256:`+hex+`","size":1,"annotations":`+annotations+`}]}`)
		s := reading(t, dir)
		if len(s.Entries) != 1 || strings.Join(s.Entries[0].Names, " ") != want {
			t.Errorf("%s: %+v", annotations, s.Entries)
			continue
		}
		got, err := s.Image(s.Entries[0])
		if err != nil || got.Sizes != nil || got.Size() != 4 {
			t.Errorf("%s: %+v, %v", annotations, got, err)
		}
	}
}

// FuzzIndex reads lists that anybody may have written: what is read is written as it
// was, and no digest becomes a path.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:` + strings.Repeat("a", 64) + `","annotations":{"org.opencontainers.image.ref.name":"a/b:c","rootlet.layer-sizes":"1,2"}}]}`))
	f.Add([]byte(`{"manifests":[{"digest":"sha256:../../etc"},{"digest":"sha512:00"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		all, err := parseIndex(body)
		if err != nil {
			return
		}
		for _, e := range all {
			if name, err := digits(e.Digest); err != nil || strings.ContainsAny(name, "./") {
				t.Fatalf("digest %q", e.Digest)
			}
		}
		text, err := formatIndex(all)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseIndex(text)
		if err != nil {
			t.Fatal(err)
		}
		was, _ := json.Marshal(all)
		is, _ := json.Marshal(again)
		if string(was) != string(is) {
			t.Fatalf("%s became %s", was, is)
		}
		var index v1.IndexManifest
		if err := json.Unmarshal(text, &index); err != nil {
			t.Fatal(err)
		}
	})
}
