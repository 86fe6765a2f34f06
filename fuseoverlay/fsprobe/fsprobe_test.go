package fsprobe

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/internal/testns"
)

func TestMain(m *testing.M) { testns.Main(m) }

func features(r Report) []string {
	var list []string
	for _, f := range r.Faults {
		list = append(list, f.Feature)
	}
	return list
}

// Where tests run layers can be, and nothing stays there.
func TestAnOrdinaryDirectory(t *testing.T) {
	testns.Need(t)
	other := 1
	if testns.OneID() {
		other = 0
	}
	dir := t.TempDir()
	r := Dir(dir, other)
	if len(r.Faults) > 0 || r.FS == "" {
		t.Errorf("%+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What can be mounted here that lacks something, and what it is told to lack.
func TestStrangeDirectories(t *testing.T) {
	testns.Need(t)
	for name, test := range map[string]struct {
		flags   uintptr
		options string
		want    []string
		unfit   bool
	}{
		"small":      {0, "size=1m", []string{Room}, true},
		"no exec":    {unix.MS_NOEXEC, "", []string{Exec}, false},
		"read-only":  {unix.MS_RDONLY, "", []string{Writing}, true},
		"no inodes":  {0, "nr_inodes=2", []string{Writing}, true},
		"all it has": {0, "size=100m", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("probe", dir, "tmpfs", test.flags, test.options); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}()
			r := Dir(dir, 0)
			if !slices.Equal(features(r), test.want) || len(r.Unfit()) > 0 != test.unfit || r.FS != "tmpfs" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// An id that is not mapped here is what a server refuses elsewhere.
func TestOwnersThatAreRefused(t *testing.T) {
	testns.Need(t)
	r := Dir(t.TempDir(), 1<<31-2)
	if !slices.Equal(features(r), []string{Owners}) || len(r.Unfit()) != 1 || !strings.HasPrefix(r.Unfit()[0], "no files of other ids: chown: ") {
		t.Errorf("%+v", r)
	}
}

func TestADirectoryThatIsNotThere(t *testing.T) {
	if r := Dir(filepath.Join(t.TempDir(), "none"), 0); len(r.Unfit()) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestNames(t *testing.T) {
	if got := Name("/", unix.NFS_SUPER_MAGIC); got != "nfs" {
		t.Error(got)
	}
	if got := Name("/proc", 0x12345); got != "proc" {
		t.Errorf("of an unknown number the mount table says %q", got)
	}
	if got := unescape(`/a\040b\134c\01`); got != `/a b\c\01` {
		t.Errorf("%q", got)
	}
	if !isBelow("/a/b", "/a") || !isBelow("/a", "/") || isBelow("/ab", "/a") {
		t.Error("what is below what")
	}
}
