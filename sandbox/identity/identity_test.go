package identity

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/rootfs"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\njunk\n1000:x:0:0:trap:/:/bin/sh\nbig:x:4294967296:0::/:/bin/sh\nover:x:2147483648:0::/:/x\n"
	group  = "root:x:0:\nwww:x:34:\naudio:x:29:web,root\nvideo:x:44:other,web\nbad:x:x:web\n"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		user  string
		extra []string
		want  Identity
	}{
		{"", nil, Identity{Home: "/root", Name: "root", Groups: []int{29}}},
		{"web", nil, Identity{UID: 33, GID: 34, Home: "/srv", Name: "web", Groups: []int{29, 44}}},
		{"33", nil, Identity{UID: 33, GID: 34, Home: "/srv", Name: "web", Groups: []int{29, 44}}},
		{"web:audio", nil, Identity{UID: 33, GID: 29, Home: "/srv", Name: "web"}},
		{"web:7", []string{"video", "99"}, Identity{UID: 33, GID: 7, Home: "/srv", Name: "web", Groups: []int{44, 99}}},
		{"1234", nil, Identity{UID: 1234, Home: "/"}},
		// A user named by a number does not become another id: CVE-2016-3697.
		{"1000", nil, Identity{UID: 1000, Home: "/"}},
	} {
		got, err := Lookup(passwd, group, c.user, c.extra)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v; want %+v", c.user, got, err, c.want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, user := range []string{"nobody-here", "4294967296", "-1", "2147483648", "web:nogroup", "over", "0:-5", "99999999999999999999"} {
		if got, err := Lookup(passwd, group, user, nil); err == nil {
			t.Errorf("%q became %+v", user, got)
		}
	}
	if _, err := Lookup(passwd, group, "web", []string{"nosuch"}); err == nil {
		t.Error("--group-add nosuch: no error")
	}
}

func TestHostileFilesAreRefusedAtOnce(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"fifo":    func(p string) error { return unix.Mkfifo(p, 0o644) },
		"link":    func(p string) error { return os.Symlink("/dev/zero", p) },
		"sparse":  func(p string) error { return sparse(p, 2<<30) },
		"dir":     func(p string) error { return os.Mkdir(p, 0o755) },
		"upwards": func(p string) error { return os.Symlink("../../../../../../etc/passwd", p) },
	} {
		dir := t.TempDir()
		os.Mkdir(filepath.Join(dir, "etc"), 0o755)
		if err := spoil(filepath.Join(dir, "etc/passwd")); err != nil {
			t.Fatal(err)
		}
		root, err := rootfs.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		who, err := Resolve(root, "root", nil)
		// Links are resolved in the root, where they lead nowhere or back to themselves.
		if err == nil {
			t.Errorf("%s: became %+v", name, who)
		}
	}
}

func TestIntroduce(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "etc"), 0o755)
	os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh"), 0o644)
	os.WriteFile(filepath.Join(dir, "etc/group"), []byte("root:x:0:\nusers:x:100:\n"), 0o644)
	root, err := rootfs.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for range 2 { // the second time there is nothing to add
		if err := Introduce(root, "an:na\n", 1000, 100); err != nil {
			t.Fatal(err)
		}
	}
	passwd, _ := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	group, _ := os.ReadFile(filepath.Join(dir, "etc/group"))
	if string(passwd) != "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:100::/:/bin/sh\n" || string(group) != "root:x:0:\nusers:x:100:\n" {
		t.Fatalf("passwd %q, group %q", passwd, group)
	}
}

func sparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}

func FuzzResolve(f *testing.F) {
	f.Add(passwd, group, "web:audio", "video")
	f.Add("a:b:c:d:e:f:g", ":::", "-", "")
	f.Fuzz(func(t *testing.T, passwd, group, user, extra string) {
		who, err := Lookup(passwd, group, user, []string{extra})
		if err != nil {
			return
		}
		for _, id := range append(who.Groups, who.UID, who.GID) {
			if id < 0 || id > maxID {
				t.Errorf("%q gives id %d", user, id)
			}
		}
		if strings.ContainsRune(who.Home, '\n') {
			t.Errorf("home %q", who.Home)
		}
	})
}

func TestHighest(t *testing.T) {
	for text, want := range map[string]int{
		"":                               0,
		"root:x:0:0::/:/bin/sh\n":        0,
		"a:x:5:70:::\nb:x:9:3:::":        70,
		"wheel:x:10:a,b\nusers:x:100:":   100,
		"nobody:x:65534:65534:::":        0,
		"nogroup:x:99999:\nstaff:x:50:":  50,
		"a:x:65534:2:::":                 2,
		"b:x:65533:2:::":                 65533,
		"bad:x:4294967295:-7:::\nc:x:1:": 1,
		"short:x\nalso:x:y:":             0,
	} {
		if got := Highest(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
