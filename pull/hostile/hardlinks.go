package hostile

import (
	"archive/tar"

	"rootlet/pull/registrytest"
)

// hardlinks give a file of somebody else's another name, through which it could
// be written, or kept.
func hardlinks() []Case {
	const missing = "which this layer does not have"
	return of(25,
		Case{Name: "dotdot", Serve: members(hardlink("h", up+"VICTIM/hello"), file("h", "pwned")), Refused: "leads outside the layer"},
		Case{Name: "absolute", Serve: members(hardlink("h", "VICTIM/hello")), Refused: missing},
		Case{Name: "missing", Serve: members(hardlink("h", "missing")), Refused: missing},
		Case{Name: "later", Serve: members(hardlink("h", "later"), file("later", "")), Refused: missing},
		Case{Name: "lower-layer", What: "to a file of the layer below", Serve: members(hardlink("h", "bin/busybox")), Refused: missing},
		Case{Name: "directory", Serve: members(directory("d"), hardlink("h", "d")), Refused: "is no file"},
		Case{Name: "root", Serve: members(hardlink("h", ".")), Refused: "is no file"},
		Case{Name: "itself", Serve: members(file("h", "x"), hardlink("h", "h")), Refused: "to itself"},
		Case{Name: "over-root", Serve: members(file("f", ""), hardlink(".", "f")), Refused: "root of a layer must be a directory"},
		Case{Name: "whiteout", Serve: members(file(".wh.w", ""), hardlink("h", "w")), Refused: "is no file"},
		Case{Name: "through-symlink", Serve: members(symlink("s", "VICTIM"), hardlink("h", "s/hello")), Refused: missing},
		Case{Name: "to-symlink", What: "links the symlink itself; writing makes a file", Serve: members(symlink("s", "VICTIM/hello"), hardlink("h", "s"), file("h", "mine")), Run: shell("cat /h; test -L /s && echo link"), Shows: "(?s)mine.*link"},
		Case{Name: "placed-by-symlink", Serve: members(file("f", "pwned"), symlink("s", "VICTIM"), hardlink("s/new", "f")), Refused: outside},
		Case{Name: "no-target", Serve: archived(joined(raw(rawHeader{name: "h", kind: tar.TypeLink}, ""))), Refused: "is no file"},
		Case{Name: "with-content", What: "a link that brings bytes along", Serve: archived(joined(
			raw(rawHeader{name: "f"}, "first"), raw(rawHeader{name: "h", link: "f", kind: tar.TypeLink, size: "00000000005"}, ""), raw(rawHeader{name: "g"}, "last"))), Run: shell("cat /f /h"), Shows: "firstfirst"},
		Case{Name: "ten-thousand", What: "more names than one file may have do no harm", Serve: members(manyLinks(10_000)...), Run: shell("ls /l | wc -l"), Shows: "10000"},
		Case{Name: "proc", Serve: members(hardlink("h", "/proc/self/exe")), Refused: missing},
	)
}

func manyLinks(n int) []registrytest.File {
	files := []registrytest.File{directory("l"), file("f", "x")}
	for i := range n {
		files = append(files, hardlink("l/"+number(i), "f"))
	}
	return files
}
