package fuseoverlay

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"
	"rootlet/internal/testenv"

	"golang.org/x/sys/unix"
)

// keepID is the shift for a container in which the caller is user 1000: the id
// 0 of U1, which is the caller, trades places with those below.
var keepID = []Shift{{From: 0, To: 1, Size: 1000}, {From: 1000, To: 0, Size: 1}, {From: 1001, To: 1001, Size: 60000}}

func TestShiftedOwners(t *testing.T) {
	testns.NeedIDs(t)
	archive := layer(t, dir("d", 0o755), file("root", "r"), owned(mode(file("user", "u"), 0o4755), 1000, 1000),
		owned(file("other", "o"), 5, 1001), owned(symlink("link", "x"), 1000, 999))
	for _, driver := range []string{FuseOverlayfs, Copy} {
		t.Run(driver, func(t *testing.T) {
			s := openStore(t, driver)
			img := putImage(t, s, "example.com/a:latest", archive)
			box := t.TempDir()
			var told int64
			o := MountOptions{Dir: box, UIDs: keepID, GIDs: keepID, Progress: func(done, _ int64) { told = done }}
			root := mountImage(t, s, img, o)
			checkOwners(t, root.Path, map[string][2]uint32{
				".": {1, 1}, "d": {1, 1}, "root": {1, 1}, "user": {0, 0}, "other": {6, 1001}, "link": {0, 1000},
			})
			if driver == Copy && told == 0 {
				t.Error("no progress is told")
			}
			fresh := filepath.Join(root.Path, "d", "fresh")
			if err := os.WriteFile(fresh, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			for name, id := range map[string]int{"d/fresh": 7, "root": 1, "user": 0} {
				if err := os.Chown(filepath.Join(root.Path, name), id, id); err != nil {
					t.Error(err)
				}
			}
			if err := root.Close(); err != nil {
				t.Fatal(err)
			}
			again := mountImage(t, s, img, o)
			checkOwners(t, again.Path, map[string][2]uint32{"d/fresh": {7, 7}, "root": {1, 1}, "user": {0, 0}, "other": {6, 1001}})
		})
	}
}

func checkOwners(t *testing.T, root string, want map[string][2]uint32) {
	t.Helper()
	for name, ids := range want {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil {
			t.Error(err)
		} else if got := [2]uint32{st.Uid, st.Gid}; got != ids {
			t.Errorf("%s belongs to %v, want %v", name, got, ids)
		}
	}
}

func TestShiftAvoidsNative(t *testing.T) {
	testns.NeedIDs(t)
	s := openStore(t, "")
	if s.Choice().Driver != Native {
		testenv.Skip(t, fmt.Sprintf("the native overlay: %+v", s.Choice()))
	}
	img := putImage(t, s, "example.com/a:latest", layer(t, file("f", "")))
	if root := mountImage(t, s, img, MountOptions{UIDs: keepID, GIDs: keepID}); root.Driver == Native {
		t.Error("shifted owners come from the native overlay")
	}
	// Where fuse-overlayfs does not work, it is said that a copy is made, and why.
	facts, err := s.facts(FuseOverlayfs)
	if err != nil {
		testenv.Skip(t, FuseOverlayfs+": "+err.Error())
	}
	s.writeProbes(map[string]probed{FuseOverlayfs: {Facts: facts, Why: "broken", When: time.Now()}})
	var why error
	root := mountImage(t, s, img, MountOptions{UIDs: keepID, GIDs: keepID, Copies: func(err error) { why = err }})
	if root.Driver != Copy || why == nil || why.Error() != "broken" {
		t.Errorf("got %s, because of: %v", root.Driver, why)
	}
	forced := openStoreAt(t, filepath.Dir(s.config.GraphRoot), Native)
	if _, err := forced.Mount(img, MountOptions{Dir: t.TempDir(), UIDs: keepID}); err == nil {
		t.Error("the native overlay, forced, takes shifts")
	}
}
