package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/linux"
)

// FuzzFind holds that whatever links an image has, what is looked for in it, and made in
// it to be mounted on, is in it, and nothing is made outside.
func FuzzFind(f *testing.F) {
	f.Add("l=../../victim\nm=/l/x", "/l/x")
	f.Add("l=$V\nm=l\nn=m/..", "/n/../m/./x/y")
	f.Add("a=b\nb=a", "/a/b")
	f.Add("l=/proc/self/root\nm=/dev/fd/3", "/l/../../m")
	f.Add("l=etc/../../victim/new\nm=\x00", "//l//")
	f.Add("l="+strings.Repeat("l/", 200), "/etc/file/..")
	f.Fuzz(func(t *testing.T, tree, wanted string) {
		links := map[string]string{}
		for line := range strings.SplitSeq(tree, "\n") {
			name, target, _ := strings.Cut(line, "=")
			if len(links) < 8 && name != "" && name != "." && name != ".." && name != "etc" && len(name) < 200 && len(target) < 4000 && target != "" &&
				!strings.ContainsAny(name, "/\x00") && !strings.Contains(target, "\x00") {
				links[name] = target
			}
		}
		a, root, victim := image(t, nil)
		for name, target := range links {
			target = strings.ReplaceAll(target, "$V", victim)
			if os.Symlink(target, filepath.Join(root, name)) != nil {
				return // too long
			}
		}
		if err := os.WriteFile(filepath.Join(root, "etc/file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wanted = "/" + strings.ReplaceAll(wanted, "$V", victim)
		for what, look := range map[string]func(string) (*os.File, error){
			"find": a.find, "directory": a.userDir, "file": a.userFile,
		} {
			found, err := look(wanted)
			if err != nil {
				continue
			}
			is, err := os.Stat(linux.FDPath(found))
			at, linkErr := os.Readlink(linux.FDPath(found))
			found.Close()
			if err != nil || linkErr != nil || at != root && !strings.HasPrefix(at, root+"/") {
				t.Fatalf("%s %q led to %q: %v, %v", what, wanted, at, err, linkErr)
			}
			if what == "directory" && !is.IsDir() || what == "file" && is.IsDir() {
				t.Errorf("%s %q is %v", what, wanted, is.Mode())
			}
		}
		unchanged(t, victim)
		if beside, err := os.ReadDir(filepath.Dir(victim)); err != nil || len(beside) != 2 {
			t.Errorf("beside the root: %v, %v", beside, err)
		}
	})
}
