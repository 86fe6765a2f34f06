package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// anothersStore is an image store of another user of this host, with the image shared:1.
func anothersStore(t *testing.T) string {
	t.Helper()
	testenv.NeedUser(t)
	dir := filepath.Join(os.Getenv("ROOTLET_TEST_CACHE"), "image-store")
	info, err := os.Stat(dir)
	if os.Getenv("ROOTLET_TEST_CACHE") == "" || err != nil {
		testenv.Skip(t, "an image store: as root, .ci/image-store /var/cache/rootlet-test ROOTLET, and ROOTLET_TEST_CACHE set to that")
	}
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) == os.Geteuid() {
		testenv.NotFor(t, "the user who keeps the image store")
	}
	return dir
}

// What one user has published, another has: its files with their owners and modes, under
// each driver, though he may not write a byte of it. The store itself shows no file of the
// image's, and nothing that runs as its owner.
func TestImageStoreOfAnotherUser(t *testing.T) {
	dir := anothersStore(t)
	before := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if unix.Access(path, unix.W_OK) == nil {
			t.Errorf("%s can be written", path)
		}
		info, err := d.Info()
		if err == nil && (info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 || strings.Contains(d.Name(), "shadow")) {
			t.Errorf("%s is in it, with mode %v", path, info.Mode())
		}
		before[path] = stampOf(t, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p := newPerson(t)
	p.env = append(p.env, "ROOTLET_IMAGE_STORE="+dir)
	if images := p.rootlet("images", "--format", "{{.Repository}}:{{.Tag}}"); images != "shared:1\n" {
		t.Errorf("images: %q", images)
	}
	var firsts sync.WaitGroup
	for range 3 { // that come at once, and find it not unpacked
		firsts.Go(func() {
			if _, stderr, code := p.try("run", "--rm", "--network", "none", "--pull", "never", "shared:1", "true"); code != 0 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	firsts.Wait()
	const look = "cat /etc/shadow; stat -c '%u:%g %a' /etc/shadow /bin/raised /home/user"
	const want = "root:topsecret:20000::::::\n0:42 640\n0:0 4755\n1000:1000 755\n"
	drivers := []string{"", "copy"}
	if ok, _ := condition("fuse"); ok {
		drivers = append(drivers, "fuse-overlayfs")
	}
	for _, driver := range drivers {
		args := []string{"run", "--rm", "--network", "none", "shared:1", "sh", "-c", look}
		if driver != "" {
			args = append([]string{"--storage-driver", driver}, args...)
		}
		if got := p.rootlet(args...); got != want {
			t.Errorf("under %q it has %q, want %q", driver, got, want)
		}
	}
	if _, stderr, code := p.try("store", "rm", dir, "shared:1"); code != 1 || !strings.Contains(stderr, "belongs to another user") {
		t.Errorf("store rm: exit code %d, %s", code, stderr)
	}
	for path, was := range before {
		if is := stampOf(t, path); is != was {
			t.Errorf("%s was %s, is %s", path, was, is)
		}
	}
}

// A store that is left to a group is closed to others, and in the way of nothing of theirs.
func TestImageStoreOfAGroup(t *testing.T) {
	dir := anothersStore(t) + "-closed"
	if groups, err := os.Getgroups(); err != nil || unix.Access(dir, unix.X_OK) == nil {
		t.Fatalf("%s is open to who is in %v: %v", dir, groups, err)
	}
	p := newPerson(t)
	stdout, stderr, code := p.try("--image-store", dir, "images", "-q")
	if want := "rootlet: notice: image store " + dir + " cannot be used: permission denied\n"; code != 0 || stdout != "" || stderr != want {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if _, stderr, code := p.try("--image-store", dir, "run", "--rm", "--pull", "never", "shared:1", "true"); code != 125 || !strings.Contains(stderr, "no such image") {
		t.Errorf("run: exit code %d, %s", code, stderr)
	}
}

// stampOf changes when somebody writes to a file, or its list of names.
func stampOf(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(st.Ino, st.Size, st.Mtim, st.Ctim)
}

// Killed at any moment, who publishes leaves a store as it was before or is after, and
// nothing in the way of the next.
func TestPublishersAreKilled(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedUser(t)
	p, image := someone(t, "layered")
	p.rootlet("pull", "-q", image)
	dir := filepath.Join(t.TempDir(), "store")
	for after := time.Millisecond; after < 40*time.Millisecond; after += 5 * time.Millisecond {
		c := p.command("store", "publish", dir, image)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = c.Process.Kill()
		_ = c.Wait()
		// It lists what is whole, or nothing.
		listed, stderr, code := p.try("store", "ls", dir, "-q")
		if code != 0 && (listed != "" || !strings.Contains(stderr, "no such file") && !strings.Contains(stderr, "is no image store")) {
			t.Errorf("killed after %v: %s%s", after, listed, stderr)
		}
		p.rootlet("store", "publish", dir, image)
		if found, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/.*")); err != nil || len(found) > 0 {
			t.Errorf("killed after %v: left %v, %v", after, found, err)
		}
		p.rootlet("store", "rm", dir, image)
	}
	p.rootlet("store", "publish", dir, image)
	p.rootlet("rmi", image)
	p.rootlet("--image-store", dir, "run", "--rm", "--network", "none", "--pull", "never", image, "true")
}
