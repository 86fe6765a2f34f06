package unpack

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/internal/testns"
)

// FuzzName looks at what a name is made of before it comes near a directory.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"a", "./a//b/", "/", "..", "a/../../b", ".wh.x", "d/.wh..wh..opq", ".wh..wh.plnk/x", ".wh.", ".wh...", "d/.wh.x/y", "a\x00b", strings.Repeat("../", 50)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := cleanName(name, MaxPath)
		if err != nil {
			return
		}
		if path.IsAbs(clean) || clean == "" || clean != path.Clean(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
			t.Fatalf("%q becomes %q", name, clean)
		}
		kind, base, err := classify(clean)
		if err != nil || kind == entryIgnored || clean == "." {
			return
		}
		if base == "" || base == "." || base == ".." || strings.Contains(base, "/") {
			t.Fatalf("%q is about %q", clean, base)
		}
		if kind != entryOpaque && strings.Contains("/"+strings.TrimSuffix(clean, base)+"/", "/.wh.") && kind != entryWhiteout {
			t.Fatalf("%q lies in a whiteout", clean)
		}
	})
}

// FuzzMembers unpacks archives that are whole as such: their headers are made here,
// for no fuzzer finds a checksum. A line of the input is a member: its kind, its
// name, and what else it takes, with tabs between.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		"d\td\nf\td/f\tcontent\nl\ts\t../victim\nf\ts/hello\tpwned\n",
		"l\ta\t..\nl\tb\ta/victim\nf\tb/hello\tpwned\nh\th\tb/hello\n",
		"f\tf\tx\nh\tg\tf\nh\tg\tg\nl\tg\t/victim\nf\tg\ty\n",
		"f\t.wh.x\t\nf\tx/y\tz\nd\to\nf\to/.wh..wh..opq\t\nf\to/.wh.y\t\n",
		"d\tx/y\nf\tx\tfile\nd\tx\nl\tx\t..\nf\tx/victim/hello\tpwned\n",
		"x\tuser.overlay.opaque\ty\nd\td\nx\tsecurity.capability\tzz\nf\td/f\t\n",
		"c\tdev/null\np\tpipe\nb\tsda\ns\thole\t65536\nl\tpipe\tpipe\n",
		"l\tp\t/proc/self/root\nf\tp/etc/x\tx\nl\tq\t/proc/self/fd/3\nf\tq/x\t\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		testns.Need(t)
		r := newRoot(t)
		result, err := r.unpack(membersOf(text), Options{OneID: true, Limits: Limits{Bytes: 1 << 20, Entries: 200}})
		r.check()
		if err == nil && result.Size > 1<<20 {
			t.Errorf("%d bytes of files", result.Size)
		}
		r.checkTree()
	})
}

// membersOf is the archive that a text describes, as far as it can be written.
func membersOf(text string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	kinds := map[string]byte{"f": tar.TypeReg, "d": tar.TypeDir, "l": tar.TypeSymlink, "h": tar.TypeLink, "p": tar.TypeFifo, "c": tar.TypeChar, "b": tar.TypeBlock}
	xattrs := map[string]string{}
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		name, extra, _ := strings.Cut(rest, "\t")
		if kind == "x" {
			xattrs[paxXattr+name] = extra
			continue
		}
		h := &tar.Header{Typeflag: kinds[kind], Name: name, Mode: 0o644, ModTime: someTime, Format: tar.FormatPAX, PAXRecords: xattrs}
		xattrs = map[string]string{}
		content := ""
		switch h.Typeflag {
		case 0:
			continue
		case tar.TypeReg:
			content, h.Size = extra, int64(len(extra))
		case tar.TypeSymlink, tar.TypeLink:
			h.Linkname = extra
		}
		if w.WriteHeader(h) == nil {
			_, _ = w.Write([]byte(content)) // into memory
		}
	}
	_ = w.Close()
	return out.Bytes()
}

// checkTree looks for what no layer may have.
func (r *testRoot) checkTree() {
	r.t.Helper()
	_ = filepath.WalkDir(r.path, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // a directory that nobody may enter
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			r.t.Error(err)
			return nil
		}
		if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFBLK || kind == unix.S_IFCHR && st.Rdev != 0 {
			r.t.Errorf("%s is a device", name)
		}
		if strings.HasPrefix(e.Name(), whiteoutPrefix) {
			r.t.Errorf("%s is a whiteout that nobody reads", name)
		}
		names := make([]byte, 4096)
		n, _ := unix.Llistxattr(name, names)
		for attr := range strings.SplitSeq(string(names[:max(n, 0)]), "\x00") {
			ours := attr == "" || attr == OwnerXattr || attr == OpaqueXattr && e.IsDir()
			if !ours && !AllowedXattr(attr) {
				r.t.Errorf("%s has %s", name, attr)
			}
		}
		return nil
	})
}
