package changes

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/internal/testns"
)

// when is the time of every file of a test's layers.
var when = time.Unix(1234567890, 5)

// layer makes a directory of these: "d/" a directory, "f=content" a file, "l->t"
// a symlink, "!w" a whiteout, "o/*" an opaque mark on o, in its spelling after
// the star.
func layer(t *testing.T, names ...string) Layer {
	t.Helper()
	dir := t.TempDir()
	var made []string
	for _, n := range names {
		at, err := "", error(nil)
		switch {
		case strings.HasSuffix(n, "/"):
			at = n
			err = os.Mkdir(filepath.Join(dir, n), 0o755)
		case strings.Contains(n, "/*"):
			name, attr, _ := strings.Cut(n, "/*")
			err = unix.Setxattr(filepath.Join(dir, name), attr, []byte("y"), 0)
		case strings.Contains(n, "->"):
			name, target, _ := strings.Cut(n, "->")
			err = os.Symlink(target, filepath.Join(dir, name))
		case strings.Contains(n, "="):
			name, content, _ := strings.Cut(n, "=")
			at = name
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		default:
			err = unix.Mknod(filepath.Join(dir, strings.Replace(n, "!", "", 1)), unix.S_IFCHR, 0)
		}
		if err != nil {
			t.Fatalf("%s: %v", n, err)
		}
		if at != "" {
			made = append(made, filepath.Join(dir, at))
		}
	}
	for i := len(made) - 1; i >= 0; i-- {
		if err := os.Chtimes(made[i], when, when); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return Layer{FD: fd}
}

func (l Layer) fuse() Layer { l.Fuse = true; return l }

func list(t *testing.T, s Source) string {
	t.Helper()
	if s.Skip == nil {
		s.Skip = func(path string) bool { return path == "/dev" || strings.HasPrefix(path, "/dev/") }
	}
	changes, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range changes {
		all = append(all, string(c.Kind)+c.Path)
	}
	return strings.Join(all, " ")
}

func TestChangesInAnUpperDirectory(t *testing.T) {
	testns.Need(t)
	image := Layers{
		layer(t, "etc/", "etc/new=n", "etc/!old", "gone/", "gone/!f", "hidden/", "hidden/*user.overlay.opaque", "hidden/here=h"),
		layer(t, "etc/", "etc/old=o", "etc/passwd=p", "gone/", "gone/f=f", "hidden/", "hidden/below=b", "usr/", "usr/bin/", "usr/bin/x=x", "usr/lib/"),
	}
	for name, c := range map[string]struct {
		own  Layer
		want string
	}{
		"nothing":                  {layer(t), ""},
		"a directory copied up":    {layer(t, "etc/", "usr/", "usr/bin/"), ""},
		"added, changed, deleted":  {layer(t, "etc/", "etc/added=a", "etc/passwd=q", "etc/!new"), "C/etc A/etc/added D/etc/new C/etc/passwd"},
		"deep":                     {layer(t, "usr/", "usr/bin/", "usr/bin/x=y"), "C/usr C/usr/bin C/usr/bin/x"},
		"a whole directory":        {layer(t, "!usr"), "D/usr"},
		"what a layer hides":       {layer(t, "etc/", "etc/old=a", "hidden/", "hidden/below=c", "gone/", "gone/!f"), "C/etc A/etc/old C/hidden A/hidden/below"},
		"opaque":                   {layer(t, "usr/", "usr/*user.overlay.opaque", "usr/bin/", "usr/z=z"), "C/usr C/usr/bin D/usr/bin/x D/usr/lib A/usr/z"},
		"opaque, fuse's attribute": {layer(t, "usr/", "usr/*user.fuseoverlayfs.opaque").fuse(), "C/usr D/usr/bin D/usr/lib"},
		"opaque, fuse's file":      {layer(t, "usr/", "usr/.wh..wh..opq=").fuse(), "C/usr D/usr/bin D/usr/lib"},
		"fuse's whiteouts":         {layer(t, "etc/", "etc/.wh.passwd=", "etc/.wh.none=").fuse(), "C/etc D/etc/passwd"},
		"such a name, not fuse's":  {layer(t, "etc/", "etc/.wh.passwd="), "C/etc A/etc/.wh.passwd"},
		"a file for a directory":   {layer(t, "usr=u"), "C/usr"},
		"a directory for a file":   {layer(t, "etc/", "etc/passwd/", "etc/passwd/x=x"), "C/etc C/etc/passwd A/etc/passwd/x"},
		"a link to elsewhere":      {layer(t, "etc->/usr"), "C/etc"},
		"the runtime's":            {layer(t, "dev/", "dev/console="), ""},
	} {
		if got := list(t, Source{Own: c.own, Image: image}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestChangesInAWholeTree(t *testing.T) {
	testns.Need(t)
	image := Layers{layer(t, "etc/", "etc/a=1", "etc/b=2", "l->t", "usr/", "usr/x=x"), layer(t, "etc/", "etc/c=3")}
	same := []string{"etc/", "etc/a=1", "etc/b=2", "etc/c=3", "l->t", "usr/", "usr/x=x"}
	whole := func(names ...string) string {
		return list(t, Source{Own: layer(t, names...), Image: image, Whole: true})
	}
	// The links' own times are not alike, as no test can set them here.
	drop := func(s string) string { return strings.Join(strings.Fields(strings.Replace(s, "C/l", "", 1)), " ") }
	if got := drop(whole(same...)); got != "" {
		t.Errorf("a copy: %s", got)
	}
	if got := drop(whole("etc/", "etc/a=9", "etc/c=3", "etc/d=4", "l->t", "usr/", "usr/x=x")); got != "C/etc C/etc/a D/etc/b A/etc/d" {
		t.Errorf("time and size as before, content not: %s", got)
	}
	if got := drop(whole("etc/", "etc/a=1", "etc/b=2", "etc/c=3", "l->t")); got != "D/usr" {
		t.Errorf("without /usr: %s", got)
	}
	own := layer(t, same...)
	shifted := Source{Own: own, Image: image, Whole: true, UID: func(id uint32) uint32 { return id + 1 }}
	if got := list(t, shifted); !strings.HasPrefix(got, "C/etc C/etc/a") {
		t.Errorf("all of another owner: %s", got)
	}
	// What has not been touched since is not read at all.
	untouched := Source{Own: layer(t, "etc/", "etc/a=9", "etc/b=2", "etc/c=3", "l->t", "usr/", "usr/x=x"), Image: image, Whole: true, Copied: unix.NsecToTimespec(time.Now().Add(time.Hour).UnixNano())}
	if got := drop(list(t, untouched)); got != "" {
		t.Errorf("untouched: %s", got)
	}
}

func TestTheRootItself(t *testing.T) {
	testns.Need(t)
	image, own := layer(t, "x="), layer(t, "x=")
	s := Source{Own: own, Image: Layers{image}}
	times := []unix.Timespec{unix.NsecToTimespec(when.UnixNano()), unix.NsecToTimespec(when.UnixNano())}
	for _, l := range []Layer{image, own} {
		if err := unix.UtimesNanoAt(l.FD, ".", times, 0); err != nil {
			t.Fatal(err)
		}
	}
	if changed, err := s.RootChanged(); changed || err != nil {
		t.Errorf("as it was: %v, %v", changed, err)
	}
	if err := unix.Fchmod(own.FD, 0o711); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.RootChanged(); !changed || err != nil {
		t.Errorf("another mode: %v, %v", changed, err)
	}
}

func TestWalkShowsWhatTheLayersMake(t *testing.T) {
	testns.Need(t)
	all := Layers{
		layer(t, "a/", "a/.wh.hidden=", "a/top=1", ".wh.whole=").fuse(),
		layer(t, "a/", "a/mid=1", "a/hidden=1", "b/", "b/*user.overlay.opaque", "b/new=1", "f=1", "whole/", "whole/x=1"),
		layer(t, "a/", "a/!mid", "a/low=1", "b/", "b/old=1", "f/", "f/x=1"),
	}
	var names []string
	err := all.Walk(func(dir int, base, name string) error {
		var st unix.Stat_t
		names = append(names, name)
		return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if got := strings.Join(names, " "); err != nil || got != "a a/low a/mid a/top b b/new f" {
		t.Errorf("%s, %v", got, err)
	}
	stop := errors.New("stop")
	if err := all.Walk(func(int, string, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}
