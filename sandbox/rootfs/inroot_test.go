package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// image makes a directory that stands for an image's root, beside a victim that
// its links point at.
func image(t *testing.T, links map[string]string) (a *assembly, root, victim string) {
	t.Helper()
	base := t.TempDir()
	root, victim = filepath.Join(base, "root"), filepath.Join(base, "victim")
	for _, dir := range []string{root, victim, filepath.Join(root, "etc")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &assembly{root: f}, root, victim
}

// unchanged fails when anything has been made in the victim.
func unchanged(t *testing.T, victim string) {
	t.Helper()
	if entries, err := os.ReadDir(victim); err != nil || len(entries) != 0 {
		t.Errorf("outside the root: %v, %v", entries, err)
	}
}

func TestMountPointsAreMadeInTheRoot(t *testing.T) {
	for name, c := range map[string]struct{ link, target, want string }{
		"plain":            {"unused", "/a/b", "a/b"},
		"absolute link":    {"/victim", "/l/x", "victim/x"},
		"upward link":      {"../../../victim", "/l/x", "victim/x"},
		"link to a link":   {"m", "/l/x", "away/x"},
		"link that exists": {"etc", "/l/x", "etc/x"},
		"dots":             {"unused", "/../../../victim/x", "victim/x"},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, make := range map[string]func(*assembly, string) (*os.File, error){
				"dir": (*assembly).userDir, "file": (*assembly).userFile,
			} {
				a, root, victim := image(t, map[string]string{"l": c.link, "m": "/away"})
				f, err := make(a, c.target)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				f.Close()
				info, err := os.Lstat(filepath.Join(root, c.want))
				if err != nil || info.IsDir() != (kind == "dir") {
					t.Errorf("%s: %v, %v", kind, info, err)
				}
				unchanged(t, victim)
			}
		})
	}
}

func TestMountPointsThatCannotBe(t *testing.T) {
	a, root, victim := image(t, map[string]string{"loop": "loop2", "loop2": "loop"})
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/loop", "/loop/x", "/file", "/file/x"} {
		if f, err := a.userDir(dir); err == nil {
			t.Errorf("directory %s became %s", dir, f.Name())
		}
	}
	for _, file := range []string{"/loop", "/etc", "/file/x"} {
		if f, err := a.userFile(file); err == nil {
			t.Errorf("file %s became %s", file, f.Name())
		}
	}
	unchanged(t, victim)
}

func TestAFifoIsMountedOnWithoutBeingOpened(t *testing.T) {
	a, root, _ := image(t, nil)
	if err := unix.Mkfifo(filepath.Join(root, "etc/hosts"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := a.userFile("/etc/hosts") // would block for ever, opened for reading
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestTheRuntimesOwnDirectoriesAreNoLinks(t *testing.T) {
	for _, link := range []string{"/victim", "../victim", "etc", "nowhere"} {
		a, _, victim := image(t, map[string]string{"dev": link, "proc": link})
		for _, own := range []string{"/dev", "/proc"} {
			if err := (ownDir{own}).apply(a); err == nil {
				t.Errorf("%s -> %s: accepted", own, link)
			}
		}
		unchanged(t, victim)
	}
	a, root, _ := image(t, nil)
	if err := (ownDir{"/dev"}).apply(a); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(root, "dev")); err != nil || !info.IsDir() {
		t.Fatalf("%v, %v", info, err)
	}
}
