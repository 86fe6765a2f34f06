package fuseoverlay

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"
)

// mountImage mounts and unmounts at the end of the test.
func mountImage(t testing.TB, s *Store, img *Image, o MountOptions) *Root {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	root, err := s.Mount(img, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestMountEachDriver(t *testing.T) {
	testns.Need(t)
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		t.Run(driver, func(t *testing.T) {
			s := openStore(t, driver)
			img := putImage(t, s, "example.com/a:latest",
				layer(t, dir("etc", 0o755), file("etc/one", "1"), file("etc/two", "2")),
				layer(t, file("etc/.wh.one", ""), file("etc/three", "3")))
			box := t.TempDir()
			root := mountImage(t, s, img, MountOptions{Dir: box})
			if root.Driver != driver {
				t.Errorf("driver %s, want %s", root.Driver, driver)
			}
			if _, err := os.Stat(filepath.Join(root.Path, "etc/one")); !os.IsNotExist(err) {
				t.Errorf("a file behind a whiteout: %v", err)
			}
			if b, _ := os.ReadFile(filepath.Join(root.Path, "etc/three")); string(b) != "3" {
				t.Errorf("etc/three holds %q", b)
			}
			if err := os.WriteFile(filepath.Join(root.Path, "etc/two"), []byte("changed"), 0o644); err != nil {
				t.Error(err)
			}
			if err := root.Close(); err != nil {
				t.Error(err)
			}
			again := mountImage(t, s, img, MountOptions{Dir: box, ReadOnly: true})
			if b, _ := os.ReadFile(filepath.Join(again.Path, "etc/two")); string(b) != "changed" {
				t.Errorf("after mounting again, etc/two holds %q", b)
			}
			if err := os.WriteFile(filepath.Join(again.Path, "new"), nil, 0o644); err == nil {
				t.Error("a read-only root takes a new file")
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			if err := RemoveTree(box); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(box); !os.IsNotExist(err) {
				t.Errorf("the removed directory: %v", err)
			}
		})
	}
}

// The way to the user's program leads through Open, Image and Mount.
func TestHotPathTakesAMillisecond(t *testing.T) {
	testns.Need(t)
	dir := t.TempDir()
	s := openStoreAt(t, dir, Native)
	var archives [][]byte
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		archives = append(archives, layer(t, file(name, name)))
	}
	putImage(t, s, "example.com/a:latest", archives...)
	best := time.Hour
	for range 20 {
		start := time.Now()
		s := openStoreAt(t, dir, Native)
		img, err := s.Image("example.com/a:latest")
		if err != nil {
			t.Fatal(err)
		}
		root, err := s.Mount(img, MountOptions{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("open, image and mount: %v", best)
	if best > 5*time.Millisecond {
		t.Errorf("open, image and mount take %v", best)
	}
}
