package fuseoverlay

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

// recoverEnv makes TestHalfLayersAreDropped's second process look at the store.
const recoverEnv = "ROOTLET_TEST_RECOVER"

// A kill in the middle of commits leaves records marked as incomplete. The next
// process drops them, several at once too, and all else goes on.
func TestHalfLayersAreDropped(t *testing.T) {
	testns.Need(t)
	good, half := layer(t, file("good", "g")), [][]byte{layer(t, file("h1", "")), layer(t, file("h2", ""))}
	if dir := os.Getenv(recoverEnv); dir != "" {
		s := openStoreAt(t, dir, "")
		for _, h := range half {
			if s.HasLayer(sum(string(h))) {
				t.Error("half a layer is there")
			}
		}
		img, err := s.Image("example.com/a:1")
		if err != nil {
			t.Fatal(err)
		}
		mountImage(t, s, img, MountOptions{})
		putImage(t, s, "example.com/b:1", half...)
		if n := len(layerDirs(t, s)); n != 3 {
			t.Errorf("%d layers on disk, want 3", n)
		}
		return
	}
	dir := t.TempDir()
	s := openStoreAt(t, dir, "")
	putImage(t, s, "example.com/a:1", good)
	for _, h := range half {
		staged, err := s.StageLayer(context.Background(), bytes.NewReader(h), LayerLimits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := staged.Commit(LayerRecord{ChainID: sum(string(h)), DiffID: sum(string(h))}); err != nil {
			t.Fatal(err)
		}
	}
	markIncomplete(t, filepath.Join(s.config.GraphRoot, driverName+"-layers", "layers.json"), 2)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHalfLayersAreDropped$")
	cmd.Env = append(os.Environ(), recoverEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("level=")) {
		t.Errorf("the store's log is on the user's terminal:\n%s", out)
	}
}

// markIncomplete sets the flag on the last n records, as containers/storage has
// it between creating a layer and having all of it.
func markIncomplete(t *testing.T, path string, n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []map[string]any
	if err := json.Unmarshal(b, &records); err != nil {
		t.Fatal(err)
	}
	for _, r := range records[len(records)-n:] {
		r["flags"] = map[string]any{"incomplete": true}
	}
	if b, err = json.Marshal(records); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A full disk is told as such, gives its space back, and hurts nothing else.
func TestFullDisk(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	if err := unix.Mount("small", top, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(top, unix.MNT_DETACH) })
	s := openStoreAt(t, top, Copy)
	img := putImage(t, s, "example.com/a:1", layer(t, file("f", "small")))
	fails := func(tar []byte) error {
		_, err := s.StageLayer(context.Background(), bytes.NewReader(tar), LayerLimits{})
		if left := staging(t, s); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		return err
	}
	var limited interface{ LimitKey() string }
	if err := fails(layer(t, file("big", string(bytes.Repeat([]byte("x"), 4<<20))))); !errors.As(err, &limited) || limited.LimitKey() != "free-disk" {
		t.Errorf("error %v", err)
	}
	// Small files take more of the disk than of the archive, by which one looks.
	var small []tar.Header
	for i := range 600 {
		small = append(small, file(fmt.Sprint("f", i), "x"))
	}
	if err := fails(layer(t, small...)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
	box := filepath.Join(top, "box")
	if err := os.Mkdir(box, 0o700); err != nil {
		t.Fatal(err)
	}
	mountImage(t, s, img, MountOptions{Dir: box})
}
