package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"

	"golang.org/x/sys/unix"
)

// Whatever of a tree is changed is noticed, and nothing else.
func TestDiffers(t *testing.T) {
	testns.Need(t)
	when := time.Unix(1234567890, 5)
	deep := strings.TrimSuffix(strings.Repeat("d/", 500), "/")
	plant := func(t *testing.T) string {
		dir := t.TempDir()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.MkdirAll(filepath.Join(dir, "sub/empty"), 0o755))
		must(os.MkdirAll(filepath.Join(dir, deep), 0o755))
		must(os.WriteFile(filepath.Join(dir, "sub/file"), []byte("content"), 0o644))
		must(os.WriteFile(filepath.Join(dir, "big"), make([]byte, 300<<10), 0o644))
		must(os.Symlink("/target", filepath.Join(dir, "link")))
		must(unix.Mknod(filepath.Join(dir, "whiteout"), unix.S_IFCHR, 0))
		must(unix.Setxattr(filepath.Join(dir, "sub"), "user.overlay.opaque", []byte("y"), 0))
		for _, name := range []string{"sub/file", "sub/empty", "sub", "big", "link", "whiteout", "d", "."} {
			ns := []unix.Timespec{unix.NsecToTimespec(when.UnixNano()), unix.NsecToTimespec(when.UnixNano())}
			must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, name), ns, unix.AT_SYMLINK_NOFOLLOW))
		}
		for at := filepath.Join(dir, deep); at != dir; at = filepath.Dir(at) {
			must(os.Chtimes(at, when, when))
		}
		must(os.Chtimes(dir, when, when))
		return dir
	}
	back := func(path string) { _ = os.Chtimes(path, when, when) }
	for name, c := range map[string]struct {
		change func(dir string) error
		at     string
	}{
		"nothing": {func(string) error { return nil }, ""},
		"content": {func(dir string) error {
			path := filepath.Join(dir, "sub/file")
			defer back(path)
			return os.WriteFile(path, []byte("CONTENT"), 0o644)
		}, "sub/file"},
		"the end of a long file": {func(dir string) error {
			path := filepath.Join(dir, "big")
			defer back(path)
			text := make([]byte, 300<<10)
			text[len(text)-1] = 1
			return os.WriteFile(path, text, 0o644)
		}, "big"},
		"a time":   {func(dir string) error { return os.Chtimes(filepath.Join(dir, "sub/empty"), when, when.Add(1)) }, "sub/empty"},
		"a mode":   {func(dir string) error { return os.Chmod(filepath.Join(dir, "sub/file"), 0o600) }, "sub/file"},
		"the root": {func(dir string) error { return os.Chmod(dir, 0o700) }, "."},
		"a link": {func(dir string) error {
			path := filepath.Join(dir, "link")
			ns := []unix.Timespec{unix.NsecToTimespec(when.UnixNano()), unix.NsecToTimespec(when.UnixNano())}
			_ = os.Remove(path)
			_ = os.Symlink("/TARGET", path)
			back(dir)
			return unix.UtimesNanoAt(unix.AT_FDCWD, path, ns, unix.AT_SYMLINK_NOFOLLOW)
		}, "link"},
		"an attribute": {func(dir string) error {
			return unix.Setxattr(filepath.Join(dir, "sub/file"), "user.other", []byte("1"), 0)
		}, "sub/file"},
		"an attribute's value": {func(dir string) error {
			return unix.Setxattr(filepath.Join(dir, "sub"), "user.overlay.opaque", []byte("n"), 0)
		}, "sub"},
		"a file less": {func(dir string) error {
			defer back(dir)
			return os.Remove(filepath.Join(dir, "whiteout"))
		}, "whiteout"},
		"a file more": {func(dir string) error {
			defer back(dir)
			return os.WriteFile(filepath.Join(dir, "zzz"), nil, 0o644)
		}, "zzz"},
		"a second name": {func(dir string) error {
			defer back(filepath.Join(dir, "sub"))
			return os.Link(filepath.Join(dir, "sub/file"), filepath.Join(dir, deep, "file"))
		}, "sub/file"},
		"deep down": {func(dir string) error { return os.Chmod(filepath.Join(dir, deep), 0o700) }, deep},
	} {
		t.Run(name, func(t *testing.T) {
			one, other := plant(t), plant(t)
			if err := c.change(other); err != nil {
				t.Fatal(err)
			}
			for _, pair := range [][2]string{{one, other}, {other, one}} {
				at, err := Differs(open(t, pair[0]), open(t, pair[1]))
				if err != nil {
					t.Fatal(err)
				}
				if (at == "") != (c.at == "") || at != c.at && name != "a second name" {
					t.Errorf("it differs at %q, want %q", at, c.at)
				}
			}
		})
	}
}
