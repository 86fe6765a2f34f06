package imagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const one, two = "docker.io/library/one:1", "docker.io/library/two:2"

// What a store has can be read by everybody and written by its owner, whatever his
// umask is; the lock alone is closed.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o77, 0o777} {
		t.Run(fmt.Sprintf("%03o", mask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			masked(t, mask)
			publish(t, dir, "text", one)
			for path, mode := range modes(t, dir) {
				want := os.FileMode(fileMode)
				switch {
				case mode.IsDir():
					want = os.ModeDir | dirMode
				case filepath.Base(path) == lockFile:
					want = 0o600
				}
				if mode != want {
					t.Errorf("%s: %v, want %v", path, mode, want)
				}
			}
		})
	}
}

func TestPublishAndRemove(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil { // who may use it is the owner's to say
		t.Fatal(err)
	}
	first := publish(t, dir, "first", one, two)
	second := publish(t, dir, "second", two)
	if mode := modes(t, dir)[dir].Perm(); mode != 0o750 {
		t.Errorf("the directory has mode %v", mode)
	}
	s := reading(t, dir)
	if len(s.Entries) != 2 {
		t.Fatalf("%+v", s.Entries)
	}
	for i, want := range []made{first, second} {
		got, err := s.Image(s.Entries[i])
		if err != nil || !bytes.Equal(got.Manifest, want.manifest) || !bytes.Equal(got.Config, want.config) ||
			got.ID != want.descriptors[1].Digest.Hex || got.Size() != int64(len(want.layer)) || got.Created.Year() != 2026 {
			t.Errorf("image %d: %+v, %v", i, got, err)
		}
		if name := []string{one, two}[i]; !slices.Equal(got.Names, []string{name}) {
			t.Errorf("image %d is called %q", i, got.Names)
		}
	}

	w, err := Change(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Remove(w.Entries()[0], []string{one})
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if left := reading(t, dir).Entries; len(left) != 1 || left[0].Names[0] != two {
		t.Errorf("left: %+v", left)
	}
	blobs, _ := filepath.Glob(filepath.Join(dir, blobsDir, "*"))
	if len(blobs) != 3 {
		t.Errorf("blobs of one image: %q", blobs)
	}
}

// An image that loses its last name to another goes, but one that had none stays.
func TestNamesMove(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "nameless")
	publish(t, dir, "old", one)
	publish(t, dir, "new", one)
	s := reading(t, dir)
	if len(s.Entries) != 2 || s.Entries[0].Names != nil || s.Entries[1].Names[0] != one {
		t.Errorf("%+v", s.Entries)
	}
}

// What a writer that was killed has left, at whatever step, is in nobody's way, and
// goes with the next.
func TestAfterAWriterThatDied(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, dir string){
		"nothing but the lock": func(t *testing.T, dir string) { write(t, dir, lockFile, "") },
		"half a directory":     func(t *testing.T, dir string) { mkdir(t, dir, "blobs") },
		"no layout yet":        func(t *testing.T, dir string) { mkdir(t, dir, blobsDir); write(t, dir, indexFile, `{"manifests":[]}`) },
		"half of the layout":   func(t *testing.T, dir string) { write(t, dir, "."+layoutFile+temporaryEnd, "{") },
		"half a blob": func(t *testing.T, dir string) {
			publish(t, dir, "x", one)
			write(t, dir, blobsDir+"/.ab"+temporaryEnd, "x")
		},
		"half a blob, this one": halfThisOne,
		"half a list": func(t *testing.T, dir string) {
			publish(t, dir, "x", one)
			write(t, dir, "."+indexFile+temporaryEnd, "{")
		},
		"blobs without an entry": func(t *testing.T, dir string) {
			publish(t, dir, "x", one)
			w, err := Create(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			image(t, "never listed").put(t, w, two)
			w.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			leave(t, dir)
			if s, err := Open(dir); err == nil {
				for _, e := range s.Entries {
					if _, err := s.Image(e); err != nil {
						t.Errorf("a reader finds %v", err)
					}
				}
				s.Close()
			}
			publish(t, dir, "after", two)
			var names []string
			for _, e := range reading(t, dir).Entries {
				names = append(names, e.Names...)
			}
			if !slices.Contains(names, two) {
				t.Errorf("listed: %q", names)
			}
			for path := range modes(t, dir) {
				if temporary(filepath.Base(path)) {
					t.Errorf("left: %s", path)
				}
			}
			blobs, _ := filepath.Glob(filepath.Join(dir, blobsDir, "*"))
			if len(blobs) != 3*len(names) {
				t.Errorf("%d blobs of %d images", len(blobs), len(names))
			}
		})
	}
}

// halfThisOne leaves a part of the very blob that comes next.
func halfThisOne(t *testing.T, dir string) {
	publish(t, dir, "x", one)
	write(t, dir, blobsDir+"/."+image(t, "after").descriptors[0].Digest.Hex+temporaryEnd, "aft")
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestRefused(t *testing.T) {
	for want, prepare := range map[string]func(t *testing.T, dir string){
		"can be written by others (mode 0775)": func(t *testing.T, dir string) { chmod(t, dir, 0o775) },
		"can be written by others (mode 0757)": func(t *testing.T, dir string) { chmod(t, dir, 0o757) },
		"is not empty and no image store":      func(t *testing.T, dir string) { write(t, dir, "mine", "") },
		"not that of an OCI layout":            func(t *testing.T, dir string) { write(t, dir, layoutFile, `{"imageLayoutVersion":"7"}`) },
		"is no directory, or a symlink": func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(dir), os.Symlink(t.TempDir(), dir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		mkdir(t, dir, "")
		prepare(t, dir)
		before := modes(t, filepath.Dir(dir))
		w, err := Create(dir, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if w != nil {
			w.Close()
		}
		if after := modes(t, filepath.Dir(dir)); len(after) != len(before) {
			t.Errorf("%s: left %v", want, after)
		}
	}
	if os.Geteuid() != 0 {
		if _, err := Create("/", nil); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("/: %v", err)
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A blob that is not what its digest says does not come into a store.
func TestDamagedBlobIsNotPublished(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	m := image(t, "right")
	for _, text := range []string{"wrong", "rig", "right and more"} {
		err := w.Target(nil, nil).PutBlob(context.Background(), m.descriptors[0], func(int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text)), nil
		})
		if err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, blobsDir, "*")); len(found) > 0 {
		t.Errorf("left: %q", found)
	}
}

// Writers wait for each other, and none of their images is lost.
func TestWritersExcludeEachOther(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var all sync.WaitGroup
	var waited sync.Map
	const writers = 8
	for i := range writers {
		all.Go(func() {
			w, err := Create(dir, func() { waited.Store(i, true) })
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			image(t, fmt.Sprint("image ", i)).put(t, w, fmt.Sprintf("docker.io/library/image:%d", i))
			time.Sleep(10 * time.Millisecond)
			if err := w.Commit(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := reading(t, dir); len(s.Entries) != writers {
		t.Errorf("%d images: %+v", len(s.Entries), s.Entries)
	}
	some := false
	waited.Range(func(any, any) bool { some = true; return false })
	if !some {
		t.Error("nobody waited")
	}
}
