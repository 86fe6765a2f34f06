package unpack

import (
	"archive/tar"
	"strings"
	"testing"

	"rootlet/fuseoverlay/internal/testns"
)

// TestHostile unpacks archives that reach for a file outside the root. Each is
// refused or stays inside; what is outside is untouched in any case.
func TestHostile(t *testing.T) {
	testns.Need(t)
	const out = "../victim"
	for name, c := range map[string]struct {
		members []member
		refused bool
	}{
		"dotdot file":                      {[]member{file(out+"/hello", "pwned")}, true},
		"dotdot after a directory":         {[]member{dir("d"), file("d/../../victim/hello", "pwned")}, true},
		"dotdot directory":                 {[]member{dir(out).mode(0o777)}, true},
		"dotdot symlink":                   {[]member{symlink(out+"/new", "/")}, true},
		"dotdot fifo":                      {[]member{fifo(out + "/new")}, true},
		"just dotdot":                      {[]member{dir("..").mode(0)}, true},
		"just dotdot, slash":               {[]member{dir("../").mode(0)}, true},
		"root as a file":                   {[]member{file(".", "x")}, true},
		"root as a symlink":                {[]member{symlink("./", out), file("hello", "pwned")}, true},
		"absolute name":                    {[]member{file("/../victim/hello", "x")}, true},
		"relative symlink to a directory":  {[]member{symlink("s", out), file("s/hello", "pwned")}, true},
		"absolute symlink to a directory":  {[]member{symlink("s", "/victim"), file("s/hello", "pwned")}, true},
		"symlink to the root above":        {[]member{symlink("s", ".."), file("s/victim/hello", "pwned")}, false},
		"innocuous two steps":              {[]member{dir("d"), symlink("d/up", ".."), symlink("s", "d/up/../victim"), file("s/hello", "pwned")}, true},
		"two symlinks":                     {[]member{symlink("a", ".."), symlink("b", "a/victim"), file("b/hello", "pwned")}, true},
		"symlink as a file":                {[]member{symlink("f", out+"/hello"), file("f", "pwned")}, false},
		"symlink as a file, then truncate": {[]member{symlink("f", out+"/hello"), file("f", "")}, false},
		"symlink as a directory":           {[]member{symlink("d", out), dir("d").mode(0o777)}, false},
		"directory, then its symlink":      {[]member{dir("d"), file("d/x", ""), symlink("d", out), file("d/hello", "pwned")}, true},
		"symlink for a pending directory":  {[]member{dir("d/e").mode(0o777), symlink("d", out), file("x", "")}, false},
		"chmod of a symlinked directory":   {[]member{dir("victim"), symlink("v", "../victim"), dir("v/hello").mode(0o777)}, false},
		"symlink loop":                     {[]member{symlink("l", "l"), file("l/f", "x")}, true},
		"proc magic link":                  {[]member{symlink("p", "/proc/self/root"), file("p/etc/x", "x")}, true},
		"proc cwd":                         {[]member{symlink("p", "/proc/self/cwd"), file("p/victim", "x")}, true},

		"hard link dotdot":             {[]member{hardlink("h", out+"/hello"), file("h", "pwned")}, true},
		"hard link absolute":           {[]member{hardlink("h", "/victim/hello")}, true},
		"hard link missing":            {[]member{hardlink("h", "missing")}, true},
		"hard link to a later entry":   {[]member{hardlink("h", "later"), file("later", "")}, true},
		"hard link to a directory":     {[]member{dir("d"), hardlink("h", "d")}, true},
		"hard link to the root":        {[]member{hardlink("h", ".")}, true},
		"hard link to a whiteout":      {[]member{file(".wh.w", ""), hardlink("h", "w")}, true},
		"hard link to itself":          {[]member{file("h", "x"), hardlink("h", "h")}, true},
		"hard link over the root":      {[]member{file("f", ""), hardlink(".", "f")}, true},
		"hard link through a symlink":  {[]member{symlink("s", out), hardlink("h", "s/hello")}, true},
		"hard link to a symlink":       {[]member{symlink("s", out+"/hello"), hardlink("h", "s"), file("h", "pwned")}, false},
		"hard link placed by symlink":  {[]member{file("f", "pwned"), symlink("s", out), hardlink("s/hello", "f")}, true},
		"hard link with empty target":  {[]member{hardlink("h", "")}, true},
		"symlink with an empty target": {[]member{symlink("s", "")}, true},

		"whiteout of dot":                    {[]member{file(".wh..", "")}, true},
		"whiteout of dotdot":                 {[]member{file(".wh...", "")}, true},
		"whiteout of nothing":                {[]member{file(".wh.", "")}, true},
		"whiteout dotdot path":               {[]member{file(out+"/.wh.hello", "")}, true},
		"whiteout through a symlink":         {[]member{symlink("s", out), file("s/.wh.hello", "")}, true},
		"opaque through a symlink":           {[]member{symlink("s", out), file("s/.wh..wh..opq", "")}, true},
		"opaque dotdot":                      {[]member{file(out+"/.wh..wh..opq", "")}, true},
		"file in a whiteout":                 {[]member{file("d/.wh.x/f", "")}, true},
		"whiteout as a symlink":              {[]member{symlink(".wh.x", out), file("x", "inside")}, false},
		"device of number 0:0":               {[]member{device("x", tar.TypeChar, 0, 0)}, false},
		"whiteout, then a file through it":   {[]member{file(".wh.x", ""), file("x/../../victim/hello", "pwned")}, true},
		"file below a file":                  {[]member{file("f", ""), file("f/g", "")}, true},
		"unknown type":                       {[]member{{tar.Header{Typeflag: 'V', Name: "volume"}, ""}}, true},
		"negative owner":                     {[]member{file("f", "").owner(-1, 0)}, true},
		"owner that means none":              {[]member{file("f", "").owner(1<<32-1, 0)}, true},
		"owner that overflows":               {[]member{file("f", "").owner(1<<32, 0)}, true},
		"xattr with a path":                  {[]member{file("f", "").xattr("user.overlay.redirect", "/../victim")}, false},
		"deep removal":                       {[]member{file(strings.Repeat("d/", 1000)+"f", ""), file("d", "gone")}, false},
		"removal of a directory of symlinks": {[]member{dir("d"), symlink("d/s", "../../victim"), file("d", "file")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoot(t)
			_, err := r.unpack(archive(t, c.members...), Options{OneID: testns.OneID()})
			r.check()
			if c.refused != (err != nil) {
				t.Errorf("refused: %v (%v), want %v", err != nil, err, c.refused)
			}
		})
	}
}

// FuzzUnpack looks for panics and escapes.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, dir("d"), file("d/f", "content"), symlink("l", "../victim"), file("l/hello", "x"), hardlink("h", "d/f")))
	f.Add(archive(f, file(".wh.x", ""), file("x/y", "z"), dir("o"), file("o/.wh..wh..opq", "")))
	f.Add(archive(f, file("p", "x").xattr(capabilityXattr, capNetRaw3), fifo("q"), device("n", tar.TypeChar, 1, 3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		testns.Need(t)
		r := newRoot(t)
		_, _ = r.unpack(data, Options{OneID: true, Limits: Limits{Bytes: 1 << 20, Entries: 1000}})
		r.check()
	})
}
