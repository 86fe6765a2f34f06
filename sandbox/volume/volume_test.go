package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

func nobody() ([]string, error) { return nil, nil }

func use(t *testing.T, s Store, name string) *Lease {
	t.Helper()
	l, err := s.Use(Volume{Name: name}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// image is a directory with files, as an image has at a volume's target.
func image(t *testing.T, names ...string) *os.File {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), "of the image")
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, e := range list {
		all += e.Name() + " "
	}
	return all
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "data": true, "my.data_2-x": true, RandomName(): true,
		"": false, ".hidden": false, "-x": false, "a/b": false, "..": false, "a b": false, "ä": false, string(make([]byte, 256)): false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		options map[string]string
		good    bool
	}{
		{nil, true},
		{map[string]string{"type": "none", "o": "bind", "device": "/srv"}, true},
		{map[string]string{"o": "rbind,ro", "device": "/srv"}, true},
		{map[string]string{"type": "none", "o": "bind", "device": "srv"}, false},
		{map[string]string{"type": "none", "o": "bind"}, false},
		{map[string]string{"type": "none", "device": "/srv"}, false},
		{map[string]string{"type": "none", "o": "bind,suid", "device": "/srv"}, false},
		{map[string]string{"type": "tmpfs", "o": "size=10m", "device": "tmpfs"}, false},
		{map[string]string{"type": "nfs", "o": "addr=10.0.0.1", "device": ":/srv"}, false},
		{map[string]string{"size": "10m"}, false},
	} {
		if err := CheckOptions(c.options); (err == nil) != c.good {
			t.Errorf("%v: %v", c.options, err)
		}
	}
}

func TestCreateOnce(t *testing.T) {
	s := In(t.TempDir())
	made, err := s.Create(Volume{Name: "data", Labels: map[string]string{"a": "b"}}, true)
	if !made || err != nil {
		t.Fatal(made, err)
	}
	if made, err := s.Create(Volume{Name: "data", Labels: map[string]string{"a": "c"}}, true); made || err != nil {
		t.Fatal("a second time:", made, err)
	}
	v, err := s.Inspect("data")
	if err != nil || v.Labels["a"] != "b" || v.Created.IsZero() || v.Version != Version {
		t.Errorf("%+v, %v", v, err)
	}
	if got := names(t, string(s)); got != "data " {
		t.Errorf("beside it: %s", got)
	}
}

func TestListHidesNothing(t *testing.T) {
	s := In(t.TempDir())
	if list, err := s.List(); len(list) > 0 || err != nil {
		t.Fatal(list, err)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		use(t, s, name)
	}
	write(t, filepath.Join(string(s), "a", recordFile), "{")
	write(t, filepath.Join(string(s), "b", recordFile), `{"version": 99}`)
	if err := os.Remove(filepath.Join(string(s), "c", recordFile)); err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if err != nil || len(list) != 4 {
		t.Fatal(list, err)
	}
	for i, e := range list {
		if e.Name != string(rune('a'+i)) || (e.Err == nil) != (e.Name == "d") {
			t.Errorf("%s: %v", e.Name, e.Err)
		}
	}
}

func TestFillOnlyWhatIsEmpty(t *testing.T) {
	s := In(t.TempDir())
	full, empty := use(t, s, "full"), use(t, s, "empty")
	write(t, filepath.Join(full.Path, "mine"), "mine")
	for _, l := range []*Lease{full, empty} {
		if err := l.Fill(image(t, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, full.Path); got != "mine " {
		t.Errorf("the full one has %s", got)
	}
	if got := names(t, empty.Path); got != "a b " {
		t.Errorf("the empty one has %s", got)
	}
	if got := names(t, filepath.Dir(empty.Path)); got != "_data lock volume.json " {
		t.Errorf("beside it: %s", got)
	}
}

// A process that dies while it fills a volume leaves no half of it.
func TestFillAfterACrash(t *testing.T) {
	s := In(t.TempDir())
	copying := use(t, s, "copying")
	half := filepath.Join(copying.dir, filling)
	moving := use(t, s, "moving")
	whole := filepath.Join(moving.dir, filled)
	for _, dir := range []string{half, whole} {
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(half, "half"), "of the image that was here before")
	write(t, filepath.Join(whole, "b"), "of the image")
	write(t, filepath.Join(moving.Path, "a"), "moved already")
	for _, l := range []*Lease{copying, moving} {
		if err := l.Fill(image(t, "a", "b")); err != nil {
			t.Fatal(err)
		}
		if got := names(t, l.Path); got != "a b " {
			t.Errorf("%s has %s", l.Name, got)
		}
		if got := names(t, l.dir); got != "_data lock volume.json " {
			t.Errorf("beside %s: %s", l.Name, got)
		}
	}
}

func TestFillAtOnce(t *testing.T) {
	s := In(t.TempDir())
	var all sync.WaitGroup
	for i := range 8 {
		from := image(t, "a", "b", fmt.Sprint("of", i))
		all.Go(func() {
			l, err := s.Use(Volume{Name: "shared"}, false)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			if err := l.Fill(from); err != nil {
				t.Error(err)
			}
			if got := names(t, l.Path); len(got) != len("a b of0 ") {
				t.Errorf("it has %s", got)
			}
		})
	}
	all.Wait()
}

func TestDevice(t *testing.T) {
	s, host := In(t.TempDir()), t.TempDir()
	options := map[string]string{"type": "none", "o": "bind,ro", "device": host}
	if _, err := s.Create(Volume{Name: "srv", Options: options}, false); err != nil {
		t.Fatal(err)
	}
	l := use(t, s, "srv")
	if l.Path != host || !l.ReadOnly() || l.Recursive() {
		t.Errorf("%+v", l)
	}
	if err := l.Fill(image(t, "a")); err != nil || names(t, host) != "a " {
		t.Errorf("%v, it has %s", err, names(t, host))
	}
	l.Close()
	if err := s.Remove("srv", nobody); err != nil || names(t, host) != "a " {
		t.Errorf("%v, the host's directory has %s", err, names(t, host))
	}
}

// A container that has the host's directory may put links where a fill works:
// nothing outside is moved, filled or removed.
func TestFillFollowsNoLink(t *testing.T) {
	for _, name := range []string{filling, filled} {
		s, host, outside := In(t.TempDir()), t.TempDir(), t.TempDir()
		write(t, filepath.Join(outside, "secret"), "of the user")
		if err := os.Symlink(outside, filepath.Join(host, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(Volume{Name: "srv", Options: map[string]string{"o": "bind", "device": host}}, false); err != nil {
			t.Fatal(err)
		}
		err := use(t, s, "srv").Fill(image(t, "a"))
		if got := names(t, outside); got != "secret " {
			t.Errorf("%s: outside there is %s", name, got)
		}
		if _, moved := os.Lstat(filepath.Join(host, "secret")); moved == nil {
			t.Errorf("%s: the user's file was moved into the volume", name)
		}
		if err != nil || names(t, host) != "a " {
			t.Errorf("%s: %v, it has %s", name, err, names(t, host))
		}
	}
}

func TestRemove(t *testing.T) {
	s := In(t.TempDir())
	var gone *NotFoundError
	var inUse *InUseError
	for _, name := range []string{"missing", "../x", ""} {
		if err := s.Remove(name, nobody); !errors.As(err, &gone) {
			t.Errorf("%q: %v", name, err)
		}
	}
	l := use(t, s, "data")
	if err := s.Remove("data", nobody); !errors.As(err, &inUse) {
		t.Errorf("while it is in use: %v", err)
	}
	l.Close()
	err := s.Remove("data", func() ([]string, error) { return []string{"abc"}, nil })
	if !errors.As(err, &inUse) || err.Error() != "remove data: volume is in use - [abc]" {
		t.Errorf("of a container: %v", err)
	}
	if err := s.Remove("data", nobody); err != nil {
		t.Error(err)
	}
	if got := names(t, string(s)); got != "" {
		t.Errorf("left: %s", got)
	}
}

// Whoever uses a volume while it is being removed has a new one.
func TestUseWhileRemoved(t *testing.T) {
	s := In(t.TempDir())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				var gone *NotFoundError
				var inUse *InUseError
				if err := s.Remove("data", nobody); err != nil && !errors.As(err, &gone) && !errors.As(err, &inUse) {
					t.Error(err)
				}
				l, err := s.Use(Volume{Name: "data"}, false)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(l.Path); err != nil {
					t.Error(err)
				}
				l.Close()
			}
		})
	}
	all.Wait()
}

func TestSweep(t *testing.T) {
	s := In(t.TempDir())
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	use(t, s, "kept")
	for _, name := range []string{comingPrefix + "1", goingPrefix + "1", goingPrefix + "busy"} {
		if err := os.MkdirAll(filepath.Join(string(s), name, dataDir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := s.lock(goingPrefix+"busy", unix.F_WRLCK, unix.F_OFD_SETLK)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, string(s)); got != goingPrefix+"busy kept " {
		t.Errorf("left: %s", got)
	}
}

func TestUsers(t *testing.T) {
	root := record.Root(t.TempDir())
	c, err := root.Create("web")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	spec := record.Spec{Version: record.Version, ID: c.ID, Name: "web", Mounts: []record.Mount{
		{Type: record.Volume, Source: "data", Target: "/data"}, {Type: record.Bind, Source: "/srv", Target: "/srv"},
	}}
	if err := c.WriteSpec(&spec); err != nil {
		t.Fatal(err)
	}
	users, err := Users(root)
	if err != nil || len(users) != 1 || len(users["data"]) != 1 || users["data"][0] != c.ID {
		t.Errorf("%v, %v", users, err)
	}
}
