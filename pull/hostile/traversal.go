package hostile

import (
	"archive/tar"
	"strings"

	"rootlet/pull/registrytest"
)

// outside is what an error says of a name that leads out of the layer, or of a
// parent that is not there once links stay inside.
const outside = `leads outside the layer|open parent: no such file|is no directory of this layer|not a directory`

// traversals are archives that reach for a file outside the root: the sets of
// containers/storage and umoci, and what came after them (CVE-2021-29136,
// CVE-2025-11395).
func traversals() []Case {
	untouched := shell("cat /hello /victim/hello 2>/dev/null; echo ran")
	return of(23,
		Case{Name: "dotdot-file", Serve: members(file(up+"VICTIM/hello", "pwned")), Refused: outside},
		Case{Name: "dotdot-directory", Serve: members(directory(up + "VICTIM")), Refused: outside},
		Case{Name: "dotdot-after-directory", Serve: members(directory("d"), file("d/"+up+"VICTIM/hello", "pwned")), Refused: outside},
		Case{Name: "dotdot-symlink", Serve: members(symlink(up+"VICTIM/new", "/")), Refused: outside},
		Case{Name: "dotdot-fifo", Serve: members(special(tar.TypeFifo, up+"VICTIM/new")), Refused: outside},
		Case{Name: "dotdot-alone", Serve: members(directory("..")), Refused: outside},
		Case{Name: "absolute-file", What: "/VICTIM/hello: taken from the image's root", Serve: members(file("/VICTIM/hello", "pwned")), Run: untouched, Shows: "^ran$", Hides: "pwned"},
		Case{Name: "absolute-dotdot", Serve: members(file("/../VICTIM/hello", "pwned")), Refused: outside},
		Case{Name: "many-slashes", Serve: members(file("//..//..//VICTIM/hello", "pwned")), Refused: outside},
		Case{Name: "relative-symlink", Serve: members(symlink("s", up+"VICTIM"), file("s/hello", "pwned")), Refused: outside},
		Case{Name: "absolute-symlink", Serve: members(symlink("s", "VICTIM"), file("s/hello", "pwned")), Refused: outside},
		Case{Name: "symlink-above-root", What: "s -> .., then s/new: stays in the root", Serve: members(symlink("s", ".."), file("s/new", "inside")), Run: shell("cat /new"), Shows: "^inside$"},
		Case{Name: "two-steps", Serve: members(directory("d"), symlink("d/up", ".."), symlink("s", "d/up/"+up+"VICTIM"), file("s/hello", "pwned")), Refused: outside},
		Case{Name: "two-symlinks", Serve: members(symlink("a", ".."), symlink("b", "a"+"VICTIM"), file("b/hello", "pwned")), Refused: outside},
		Case{Name: "symlink-of-base-layer", What: "the layer below made the link", Serve: baseLink(), Run: shell("ls -d /s/hello"), Shows: `^/s/hello$`},
		Case{Name: "symlink-as-file", What: "f -> victim/hello, then a file f", Serve: members(symlink("f", "VICTIM/hello"), file("f", "mine")), Run: shell("cat /f; test ! -L /f && echo file"), Shows: "(?s)mine.*file"},
		Case{Name: "symlink-as-directory", Serve: members(symlink("d", "VICTIM"), registrytest.File{Name: "d/", Type: tar.TypeDir, Mode: 0o777}), Run: shell("test -d /d && test ! -L /d && echo own"), Shows: "^own$"},
		Case{Name: "directory-becomes-symlink", Serve: members(directory("d"), file("d/x", ""), symlink("d", "VICTIM"), file("d/hello", "pwned")), Refused: outside},
		Case{Name: "mode-through-symlink", Serve: members(directory("d/e"), symlink("d", "VICTIM"), file("x", "")), Run: shell("echo ran"), Shows: "ran"},
		Case{Name: "root-as-symlink", Serve: members(symlink("./", up+"VICTIM"), file("hello", "pwned")), Refused: "root of a layer must be a directory"},
		Case{Name: "root-as-file", Serve: archived(joined(raw(rawHeader{name: "."}, "x"))), Refused: "root of a layer must be a directory"},
		Case{Name: "symlink-loop", Serve: members(symlink("l", "l"), file("l/f", "x")), Refused: "symbolic links"},
		Case{Name: "symlink-chain", What: "64 links, one after another", Serve: members(chain(64)...), Refused: "symbolic links"},
		Case{Name: "proc-root", Serve: members(symlink("p", "/proc/self/root"), file("p/etc/x", "x")), Refused: outside},
		Case{Name: "proc-fd", Serve: members(symlink("p", "/proc/self/fd/3"), file("p/hello", "x")), Refused: outside},
		Case{Name: "pax-path", What: "a harmless name, another in the extended header", Serve: func(s *Scene, name string) {
			archived(joined(pax(tar.TypeXHeader, "path", up+s.Victim+"/hello"), raw(rawHeader{name: "harmless"}, "pwned")))(s, name)
		}, Refused: outside},
		Case{Name: "gnu-long-name", Serve: func(s *Scene, name string) {
			long := up + s.Victim + "/hello\x00"
			archived(joined(raw(rawHeader{name: "././@LongLink", kind: tar.TypeGNULongName}, long), raw(rawHeader{name: "harmless"}, "pwned")))(s, name)
		}, Refused: outside},
		Case{Name: "ustar-prefix", What: "the parent is in the header's prefix field", Serve: archived(joined(
			raw(rawHeader{name: "hello", edit: func(b []byte) { copy(b[345:], "../../../../../..") }}, "pwned"))), Refused: outside},
		Case{Name: "empty-name", Serve: archived(joined(raw(rawHeader{name: ""}, "x"))), Refused: "root of a layer must be a directory"},
		Case{Name: "backslashes", What: "is a name like others", Serve: members(file(`..\..\hello`, "x")), Run: shell(`ls -d '/..\..\hello'`), Shows: `hello`},
		Case{Name: "escape-codes-in-name", What: "never reach the terminal", Serve: members(file("\x1b]0;owned\x07/../..//../x", "x")), Refused: `leads outside the layer`},
	)
}

// chain is a chain of symlinks, and a file through it.
func chain(n int) []registrytest.File {
	files := []registrytest.File{symlink("l", "end")}
	for i := range n {
		files = append(files, symlink(strings.Repeat("l", i+2), strings.Repeat("l", i+1)))
	}
	return append(files, directory("end"), file(strings.Repeat("l", n+1)+"/f", "x"))
}

// baseLink has one layer link to the victim and the next write below that name.
func baseLink() func(*Scene, string) {
	return func(s *Scene, name string) {
		s.Registry.Push(name, image(s, nil,
			registrytest.NewLayer(registrytest.Gzip, symlink("s", s.Victim)),
			registrytest.NewLayer(registrytest.Gzip, file("s/hello", "inside"))))
	}
}
