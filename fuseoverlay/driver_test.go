package fuseoverlay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"
	"rootlet/internal/testenv"

	"golang.org/x/sys/unix"
)

func TestAutomaticChoice(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	s := openStoreAt(t, top, "")
	if c := s.Choice(); c.Driver != Native || len(c.RuledOut) > 0 || c.Forced {
		t.Fatalf("choice %+v", c)
	}
	// Kept: with the mount system call's way barred, it is not probed again.
	kept, err := os.ReadFile(s.path(probesFile))
	if err != nil || !strings.Contains(string(kept), `"native"`) {
		t.Fatalf("kept results: %s, %v", kept, err)
	}
	for _, damage := range []string{"", "{", "null", `{"native":{"facts":"other"}}`} {
		if err := os.WriteFile(s.path(probesFile), []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if c := openStoreAt(t, top, "").Choice(); c.Driver != Native {
			t.Errorf("with kept results %q: %+v", damage, c)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.config.GraphRoot, "rootlet-probe*"))
	if err != nil || len(left) != 1 {
		t.Errorf("probes left %v", left)
	}
}

// onOverlay is a directory where the kernel's overlay cannot have its upper
// directory, for it is on an overlay itself.
func onOverlay(t *testing.T) string {
	t.Helper()
	s := openStore(t, Native)
	return mountImage(t, s, putImage(t, s, "example.com/ground:1", layer(t, file("f", ""))), MountOptions{}).Path
}

func TestNextBestDrivers(t *testing.T) {
	testns.Need(t)
	testenv.NeedFuse(t)
	testenv.NeedProgram(t, FuseOverlayfs)
	ground := onOverlay(t)
	s := openStoreAt(t, ground, "")
	c := s.Choice()
	if c.Driver != FuseOverlayfs || len(c.RuledOut) != 1 || c.RuledOut[0].Driver != Native || c.RuledOut[0].Why == "" {
		t.Fatalf("on an overlay: %+v", c)
	}
	t.Log(c)
	img := putImage(t, s, "example.com/a:1", layer(t, file("f", "content")))
	if root := mountImage(t, s, img, MountOptions{}); root.Driver != FuseOverlayfs {
		t.Errorf("driver %s", root.Driver)
	}
	hideFuseOverlayfs(t)
	s = openStoreAt(t, ground, "")
	c = s.Choice()
	if c.Driver != Copy || len(c.RuledOut) != 2 || !strings.Contains(c.RuledOut[1].Why, "not installed") {
		t.Fatalf("without fuse-overlayfs: %+v", c)
	}
	root := mountImage(t, s, img, MountOptions{})
	if b, _ := os.ReadFile(filepath.Join(root.Path, "f")); root.Driver != Copy || string(b) != "content" {
		t.Errorf("driver %s, content %q", root.Driver, b)
	}
}

// hideFuseOverlayfs makes the program unusable in this mount namespace.
func hideFuseOverlayfs(t *testing.T) {
	t.Helper()
	for {
		path, err := findFuseOverlayfs()
		if err != nil {
			return
		}
		if err := unix.Mount("/dev/null", path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	}
}

func TestForcedDriverThatDoesNotWork(t *testing.T) {
	testns.Need(t)
	s := openStoreAt(t, onOverlay(t), Native)
	c := s.Choice()
	if c.Driver != Native || !c.Forced || len(c.RuledOut) != 1 {
		t.Errorf("choice %+v", c)
	}
	img := putImage(t, s, "example.com/a:1", layer(t, file("f", "")))
	_, err := s.Mount(img, MountOptions{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), c.RuledOut[0].Why) {
		t.Errorf("error %v lacks the reason %q", err, c.RuledOut[0].Why)
	}
	if _, err := Open(Config{GraphRoot: "/x", RunRoot: "/y", Driver: "zfs"}); err == nil {
		t.Error("an unknown driver is taken")
	}
}

// A container keeps the driver that its changes were made with.
func TestDriverIsKept(t *testing.T) {
	testns.Need(t)
	top, box := t.TempDir(), t.TempDir()
	s := openStoreAt(t, top, Copy)
	img := putImage(t, s, "example.com/a:1", layer(t, file("f", "")))
	root := mountImage(t, s, img, MountOptions{Dir: box})
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if root := mountImage(t, openStoreAt(t, top, Native), img, MountOptions{Dir: box}); root.Driver != Copy {
		t.Errorf("the container's driver is now %s", root.Driver)
	}
}

func TestFuseOverlayfsDies(t *testing.T) {
	testns.Need(t)
	testenv.NeedFuse(t)
	testenv.NeedProgram(t, FuseOverlayfs)
	s := openStore(t, FuseOverlayfs)
	img := putImage(t, s, "example.com/a:1", layer(t, file("f", "")))
	root := mountImage(t, s, img, MountOptions{})
	if err := unix.Kill(root.helper.process.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-root.Done():
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("its end is told as %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("its end is not told")
	}
	if err := root.Close(); err != nil {
		t.Error(err)
	}
	if mounts := mountsAt(t, root.Path); mounts != "" {
		t.Errorf("still mounted: %s", mounts)
	}
}

func TestCloseEndsFuseOverlayfs(t *testing.T) {
	testns.Need(t)
	testenv.NeedFuse(t)
	testenv.NeedProgram(t, FuseOverlayfs)
	s := openStore(t, FuseOverlayfs)
	root := mountImage(t, s, putImage(t, s, "example.com/a:1", layer(t, file("f", ""))), MountOptions{})
	open, err := os.Open(filepath.Join(root.Path, "f")) // keeps the mount busy
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := root.Close(); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(root.helper.process.Pid, 0); err != unix.ESRCH {
		t.Errorf("the program after Close: %v", err)
	}
	select {
	case err := <-root.Done():
		t.Errorf("an end that was wanted is told: %v", err)
	default:
	}
}

func mountsAt(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, " "+path+" ") {
			return line
		}
	}
	return ""
}

// A directory whose name is long and has every character that means something
// to overlayfs, but for the colon, which fuse-overlayfs cannot have.
func TestOddPlace(t *testing.T) {
	testns.Need(t)
	for odd, drivers := range map[string][]string{
		`a:b,c\d e=f`: {Native, Copy},
		`a.b,c\d e=f`: {FuseOverlayfs},
	} {
		top := filepath.Join(t.TempDir(), odd+strings.Repeat("x", 200))
		if err := os.Mkdir(top, 0o700); err != nil {
			t.Fatal(err)
		}
		img := putImage(t, openStoreAt(t, top, ""), "example.com/odd:1",
			layer(t, file("f1", "")), layer(t, file("f2", "")), layer(t, file("f3", "")))
		for _, driver := range drivers {
			box := filepath.Join(top, "box-"+driver)
			if err := os.Mkdir(box, 0o700); err != nil {
				t.Fatal(err)
			}
			root := mountImage(t, openStoreAt(t, top, driver), img, MountOptions{Dir: box})
			if entries, err := os.ReadDir(root.Path); err != nil || len(entries) != 3 {
				t.Errorf("%s: %d entries, %v", driver, len(entries), err)
			}
		}
	}
	s := openStoreAt(t, filepath.Join(t.TempDir(), "a:b"), FuseOverlayfs)
	if c := s.Choice(); len(c.RuledOut) != 1 || !strings.Contains(c.RuledOut[0].Why, "colon") {
		t.Errorf("choice %+v", c)
	}
}

// More layers than fit in a page of mount options.
func TestManyLayers(t *testing.T) {
	testns.Need(t)
	const count = 300
	top := t.TempDir()
	var layers []int
	for i := range count {
		path := filepath.Join(top, fmt.Sprint(i))
		if err := os.MkdirAll(filepath.Join(path, fmt.Sprintf("f%d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := openPath(path)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, fd)
	}
	defer closeAll(layers)
	s := openStore(t, "")
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		dir := t.TempDir()
		m := &mounting{store: s, driver: driver, own: dir, options: MountOptions{Dir: dir}, layers: layers}
		root, err := m.mount()
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(root.Path); err != nil || len(entries) != count {
			t.Errorf("%s: %d entries, %v", driver, len(entries), err)
		}
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestVolatileAgain(t *testing.T) {
	testns.Need(t)
	s := openStore(t, Native)
	img := putImage(t, s, "example.com/a:1", layer(t, file("f", "")))
	box := t.TempDir()
	for range 2 {
		root := mountImage(t, s, img, MountOptions{Dir: box, Volatile: true})
		if !strings.Contains(mountsAt(t, root.Path), "volatile") {
			t.Error("the mount is not volatile")
		}
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImageWithoutLayers(t *testing.T) {
	testns.Need(t)
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		s := openStore(t, driver)
		root := mountImage(t, s, putImage(t, s, "example.com/scratch:1"), MountOptions{})
		if err := os.WriteFile(filepath.Join(root.Path, "f"), nil, 0o600); err != nil {
			t.Errorf("%s: %v", driver, err)
		}
	}
}

func TestSetuidWorksInTheRoot(t *testing.T) {
	testns.Need(t)
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		s := openStore(t, driver)
		root := mountImage(t, s, putImage(t, s, "example.com/a:1", layer(t, file("f", ""))), MountOptions{})
		var st unix.Statfs_t
		if err := unix.Statfs(root.Path, &st); err != nil {
			t.Fatal(err)
		}
		if st.Flags&unix.MS_NOSUID != 0 || st.Flags&unix.MS_NODEV == 0 {
			t.Errorf("%s: mount flags %#x: set-ID programs must work, devices must not", driver, st.Flags)
		}
	}
}
