package fuseoverlay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

// sound is an image of these archives that tells its layers, and what it came
// from.
type sound struct {
	*Image
	archives map[string][]byte // by digest
	layers   []string          // ids, the lowest first
}

func putSound(t *testing.T, s *Store, name string, archives ...[]byte) sound {
	t.Helper()
	var config imageConfig
	var manifest imageManifest
	i := sound{archives: map[string][]byte{}}
	chain := ""
	for _, a := range archives {
		diffID := sum(string(a))
		i.archives[diffID] = a
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.Digest(diffID))
		manifest.Layers = append(manifest.Layers, descriptor{digest.Digest(diffID)})
		next := diffID
		if chain != "" {
			next = sum(chain + " " + diffID)
		}
		if !s.HasLayer(next) {
			commitLayer(t, s, chain, a)
		}
		chain = next
		i.layers = append(i.layers, strings.TrimPrefix(next, "sha256:"))
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	manifest.Config.Digest = digest.FromBytes(text)
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	err = s.PutImage(ImageRecord{
		ID: sum(string(text)), Digest: sum(string(body)), TopLayer: chain, Names: []string{name},
		Manifest: body, Config: text, Created: testTime,
	})
	if err == nil {
		i.Image, err = s.Image(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// check is Check with what the image came from.
func (i sound) check(t *testing.T, s *Store, o CheckOptions) []string {
	t.Helper()
	o.OpenLayer = func(_ context.Context, blob string) (io.ReadCloser, error) {
		archive, ok := i.archives[blob]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(bytes.NewReader(archive)), nil
	}
	found, err := Check(context.Background(), s.config, o)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		line := f.What + ": " + f.Text
		if f.Done != "" {
			line += " (" + f.Done + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// mends damages a store, which the check must tell of in these words; afterwards
// it must be as before.
func TestCheckMends(t *testing.T) {
	testns.Need(t)
	root := func(s *Store, parts ...string) string {
		return filepath.Join(append([]string{s.config.GraphRoot}, parts...)...)
	}
	edit := func(t *testing.T, path, old, with string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(text), old) {
			t.Fatalf("%s has no %q: %s", path, old, text)
		}
		if err == nil {
			err = os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, with)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, s *Store, i sound)
		tells  string // of the check
	}{
		"a file's content": {func(t *testing.T, s *Store, i sound) {
			path := filepath.Join(s.layerDir(i.layers[1]), "dir/one")
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil {
				t.Fatal(err)
			}
			edit(t, path, "1", "2")
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, 0); err != nil {
				t.Fatal(err)
			}
		}, `"dir/one" is not as it was unpacked`},
		"a file's mode": {func(t *testing.T, s *Store, i sound) {
			if err := os.Chmod(filepath.Join(s.layerDir(i.layers[0]), "base"), 0o777); err != nil {
				t.Fatal(err)
			}
		}, `"base" is not`},
		"a file more": {func(t *testing.T, s *Store, i sound) {
			if err := os.WriteFile(filepath.Join(s.layerDir(i.layers[1]), "zzz"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, `is not as it was unpacked`},
		"the lowest layer": {func(t *testing.T, s *Store, i sound) {
			if err := os.RemoveAll(filepath.Dir(s.layerDir(i.layers[0]))); err != nil {
				t.Fatal(err)
			}
		}, "its files are gone"},
		"a short name": {func(t *testing.T, s *Store, i sound) {
			if err := os.Remove(filepath.Join(filepath.Dir(s.layerDir(i.layers[0])), "link")); err != nil {
				t.Fatal(err)
			}
		}, "its short name is damaged"},
		"a layer's id in the list": {func(t *testing.T, s *Store, i sound) {
			edit(t, root(s, layersFile), `"id":"`+i.layers[1][:3], `"id":"zzz`)
		}, "has a layer"},
		"a layer's parent": {func(t *testing.T, s *Store, i sound) {
			edit(t, root(s, layersFile), `"parent":"`+i.layers[0], `"parent":"`+strings.Repeat("0", 64))
		}, "its record is damaged"},
		"a half layer": {func(t *testing.T, s *Store, i sound) { markIncomplete(t, root(s, layersFile), 1) }, "it is not whole"},
		"a digest in the list": {func(t *testing.T, s *Store, i sound) {
			edit(t, root(s, imagesFile), `"digest":"sha256:`, `"digest":"sha257:`)
		}, "its record is damaged"},
		"an image's id in the list": {func(t *testing.T, s *Store, i sound) {
			edit(t, root(s, imagesFile), `"id":"`+i.ID[:3], `"id":"zzz`)
		}, "has an image"},
		"an image's layer in the list": {func(t *testing.T, s *Store, i sound) {
			edit(t, root(s, imagesFile), i.layers[1], i.layers[0])
		}, "another layer"},
		"the notes": {func(t *testing.T, s *Store, i sound) { edit(t, root(s, imagesFile), `"metadata":"{`, `"metadata":"[`) }, "its notes"},
		"the lists": {func(t *testing.T, s *Store, i sound) {
			for _, list := range []string{imagesFile, layersFile} {
				if err := os.WriteFile(root(s, list), []byte(`[{"id":`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "is damaged: unexpected end"},
		"the list of images, emptied": {func(t *testing.T, s *Store, i sound) {
			if err := os.WriteFile(root(s, imagesFile), []byte(`[]`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "has no record"},
		"what was left": {func(t *testing.T, s *Store, i sound) {
			for _, dir := range []string{root(s, driverName, strings.Repeat("ab", 32), "diff"), root(s, "overlay-images", strings.Repeat("cd", 32))} {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("../nowhere/diff", root(s, driverName, "l", "NOWHERE")); err != nil {
				t.Fatal(err)
			}
			commitLayer(t, s, "", layer(t, file("orphan", "o")))
		}, "belongs to no image"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, "")
			i := putSound(t, s, "example.com/a:1", layer(t, file("base", "b")), layer(t, file("dir/one", "1")))
			if found := i.check(t, s, CheckOptions{}); len(found) > 0 {
				t.Fatalf("of a store that is whole: %q", found)
			}
			c.damage(t, s, i)
			found := i.check(t, s, CheckOptions{})
			if !slices.ContainsFunc(found, func(line string) bool { return strings.Contains(line, c.tells) }) {
				t.Errorf("it tells %q, not of %q", found, c.tells)
			}
			if again := i.check(t, s, CheckOptions{}); !slices.Equal(found, again) {
				t.Errorf("looking has changed something: %q, then %q", found, again)
			}
			done := i.check(t, s, CheckOptions{Repair: true})
			for _, line := range done {
				if !strings.HasSuffix(line, ")") || strings.Contains(line, "dropped)") && !strings.Contains(line, "list") {
					t.Errorf("not mended: %s", line)
				}
			}
			if left := i.check(t, s, CheckOptions{}); len(left) > 0 {
				t.Errorf("after a repair: %q; it said %q", left, done)
			}
			mended, err := View{GraphRoot: s.config.GraphRoot}.Image("example.com/a:1")
			if err != nil || mended.ID != i.ID || mended.TopLayer != i.TopLayer {
				t.Fatalf("the image is %+v, %v", mended, err)
			}
			again := openStoreAt(t, filepath.Dir(s.config.GraphRoot), "")
			putImage(t, again, "example.com/b:1", i.archives[sum(string(layer(t, file("base", "b"))))], layer(t, file("two", "2")))
			mountImage(t, again, mended, MountOptions{})
		})
	}
}

// What cannot be restored is dropped, and with it what only it needed; not from
// below a container.
func TestCheckDrops(t *testing.T) {
	testns.Need(t)
	for _, lost := range []string{"config", "manifest", "layer"} {
		t.Run(lost, func(t *testing.T) {
			s := openStore(t, "")
			base := layer(t, file("base", "b"))
			i := putSound(t, s, "example.com/a:1", base, layer(t, file("one", "1")))
			other := putSound(t, s, "example.com/b:1", base)
			path := filepath.Join(s.imageDir(i.ID), lost)
			if lost == "layer" {
				path = s.layerDir(i.layers[1])
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			i.archives = nil
			used := CheckOptions{Repair: true, Used: func(string) string { return "it" }}
			if found := i.check(t, s, used); len(found) != 1 || !strings.HasSuffix(found[0], "container it is made of it") {
				t.Errorf("with a container: %q", found)
			}
			used.Drop = true
			if found := i.check(t, s, used); !slices.ContainsFunc(found, func(line string) bool { return strings.HasSuffix(line, "(dropped)") }) {
				t.Errorf("by force: %q", found)
			}
			if found := i.check(t, s, CheckOptions{}); len(found) > 0 {
				t.Errorf("afterwards: %q", found)
			}
			if images, err := (View{GraphRoot: s.config.GraphRoot}).Images(); err != nil || len(images) != 1 || images[0].ID != other.ID {
				t.Errorf("there are %+v, %v", images, err)
			}
			if left := layerDirs(t, s); len(left) != 1 {
				t.Errorf("layers %v", left)
			}
		})
	}
}

// While an image is being brought in its layers have none, and nothing is mended.
func TestCheckBesideAnInstallation(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	i := putSound(t, s, "example.com/a:1", layer(t, file("base", "b")))
	leave, err := s.EnterInstall()
	if err != nil {
		t.Fatal(err)
	}
	commitLayer(t, s, "", layer(t, file("coming", "c")))
	if found := i.check(t, s, CheckOptions{}); len(found) > 0 {
		t.Errorf("it tells %q", found)
	}
	if _, err := Check(context.Background(), s.config, CheckOptions{Repair: true}); !errors.Is(err, ErrInstalling) {
		t.Errorf("repair: %v", err)
	}
	if err := leave(); err != nil {
		t.Fatal(err)
	}
	if found := i.check(t, s, CheckOptions{}); len(found) > 0 {
		t.Errorf("afterwards: %q", found)
	}
}

// A damaged list is an error that says what to do; so is a layer that is gone.
func TestDamageHasAHint(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	i := putSound(t, s, "example.com/a:1", layer(t, file("base", "b")))
	var damaged *DamagedError
	if err := os.RemoveAll(s.layerDir(i.layers[0])); err != nil {
		t.Fatal(err)
	}
	if _, err := s.openChain(i.TopLayer); !errors.As(err, &damaged) || damaged.Hint() == "" {
		t.Errorf("a layer that is gone: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.config.GraphRoot, imagesFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (View{GraphRoot: s.config.GraphRoot}).Images(); !errors.As(err, &damaged) {
		t.Errorf("a list: %v", err)
	}
	if err := (View{GraphRoot: s.config.GraphRoot}).sound(); !errors.As(err, &damaged) {
		t.Errorf("a store: %v", err)
	}
}

// F15 for the lists of images and layers: whichever byte is changed, no image is
// lost, and the store opens after a repair.
func TestCheckMendsFlips(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	i := putSound(t, s, "example.com/a:1", layer(t, file("base", "b")), layer(t, file("one", "1")))
	for _, name := range []string{imagesFile, layersFile} {
		path := filepath.Join(s.config.GraphRoot, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at += 5 {
			text := slices.Clone(whole)
			text[at] ^= 1 << (at % 7)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			said := i.check(t, s, CheckOptions{Repair: true, Quick: true})
			if left := i.check(t, s, CheckOptions{Quick: true}); len(left) > 0 {
				t.Errorf("%s, byte %d: after a repair: %q; it said %q", name, at, left, said)
			}
			if err := (View{GraphRoot: s.config.GraphRoot}).sound(); err != nil {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
			if mended, err := (View{GraphRoot: s.config.GraphRoot}).Image(i.ID); err != nil || mended.TopLayer != i.TopLayer {
				t.Fatalf("%s, byte %d, %q: the image is %+v, %v; the repair said %q", name, at, text, mended, err, said)
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A removal that is broken off at any step leaves the image whole, or nothing
// that the next one to bring something in does not take away.
func TestRemovalBrokenOff(t *testing.T) {
	testns.Need(t)
	for _, step := range []string{"marked", "off the list", "files gone"} {
		t.Run(step, func(t *testing.T) {
			s := openStore(t, "")
			i := putSound(t, s, "example.com/a:1", layer(t, file("base", "b")), layer(t, file("one", "1")))
			mark := filepath.Join(s.imageDir(i.ID), removedMark)
			if step == "files gone" {
				if err := s.dropImage(i.ID); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(mark, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if step == "off the list" {
				if err := s.editImages(func([]storage.Image) []storage.Image { return []storage.Image{} }); err != nil {
					t.Fatal(err)
				}
			}
			leave, err := s.EnterInstall()
			if err == nil {
				err = leave()
			}
			if err != nil {
				t.Fatal(err)
			}
			if found := i.check(t, s, CheckOptions{}); len(found) > 0 {
				t.Errorf("left: %q", found)
			}
			want := 0
			if step == "marked" {
				want = 2
			}
			if layers := layerDirs(t, s); len(layers) != want {
				t.Errorf("%d layers, want %d", len(layers), want)
			}
		})
	}
}

// What no record tells of keeps its layers, until a repair has put it back.
func TestLostRecordKeepsLayers(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	i := putSound(t, s, "example.com/a:1", layer(t, file("base", "b")))
	if err := os.WriteFile(filepath.Join(s.config.GraphRoot, imagesFile), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := openStoreAt(t, filepath.Dir(s.config.GraphRoot), "")
	if gone, err := again.Collect(func() error { return nil }); err != nil || len(gone) > 0 {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if found := i.check(t, again, CheckOptions{Repair: true}); len(found) != 1 || !strings.HasSuffix(found[0], "has no record (restored)") {
		t.Errorf("repair: %q", found)
	}
	if mended, err := (View{GraphRoot: s.config.GraphRoot}).Image("example.com/a:1"); err != nil || mended.ID != i.ID {
		t.Errorf("%+v, %v", mended, err)
	}
}
