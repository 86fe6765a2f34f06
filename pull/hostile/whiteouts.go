package hostile

import (
	"archive/tar"

	"rootlet/pull/registrytest"
)

// whiteouts hide what is not theirs.
func whiteouts() []Case {
	kept := shell("ls /bin/busybox && echo kept")
	return of(24,
		Case{Name: "of-dot", Serve: members(file(".wh..", "")), Refused: `whiteout of "\."`},
		Case{Name: "of-dotdot", Serve: members(file(".wh...", "")), Refused: `whiteout of "\.\."`},
		Case{Name: "of-nothing", Serve: members(file(".wh.", "")), Refused: `whiteout of ""`},
		Case{Name: "dotdot-path", Serve: members(file(up+"VICTIM/.wh.hello", "")), Refused: outside},
		Case{Name: "through-symlink", Serve: members(symlink("s", "VICTIM"), file("s/.wh.hello", "")), Refused: outside},
		Case{Name: "through-symlink-below", What: "the link is the lower layer's: only what the image shows there goes", Serve: func(s *Scene, name string) {
			s.Registry.Push(name, image(s, nil,
				registrytest.NewLayer(registrytest.Gzip, symlink("s", s.Victim)),
				registrytest.NewLayer(registrytest.Gzip, file("s/.wh.hello", ""))))
		}, Run: kept, Shows: "kept"},
		Case{Name: "opaque-through-symlink", Serve: members(symlink("s", "VICTIM"), file("s/.wh..wh..opq", "")), Refused: outside},
		Case{Name: "opaque-dotdot", Serve: members(file(up+"VICTIM/.wh..wh..opq", "")), Refused: outside},
		Case{Name: "opaque-root", What: "the whole image is hidden, nothing else", Serve: members(file(".wh..wh..opq", "")), Run: shell("true"), Refused: "sh.*not found|no such"},
		Case{Name: "file-in-whiteout", Serve: members(file("d/.wh.x/f", "")), Refused: "lies in a whiteout"},
		Case{Name: "symlink-named-whiteout", Serve: members(symlink(".wh.x", "VICTIM")), Run: kept, Shows: "kept"},
		Case{Name: "directory-named-whiteout", Serve: members(directory(".wh.x")), Run: kept, Shows: "kept"},
		Case{Name: "hardlink-named-whiteout", Serve: members(hardlink(".wh.x", "VICTIM/hello")), Run: kept, Shows: "kept"},
		Case{Name: "device-0-0", What: "overlay's own whiteout, as a device: skipped", Serve: members(directory("bin"), special(tar.TypeChar, "bin/busybox")), Run: kept, Shows: "kept"},
		Case{Name: "aufs-names", What: ".wh..wh.plnk and the like are ignored", Serve: members(file(".wh..wh.plnk/x", "x"), file(".wh..wh.aufs", "x")), Run: shell("ls -a / | grep -c wh; echo ran"), Shows: "(?s)^0.*ran"},
		Case{Name: "then-file-through-it", Serve: members(file(".wh.x", ""), file("x/"+up+"VICTIM/hello", "pwned")), Refused: outside},
		Case{Name: "of-proc-and-dev", What: "the runtime's mount points are made anew", Serve: members(file(".wh.proc", ""), file(".wh.dev", ""), file(".wh.sys", "")), Run: shell("test -c /dev/null && test -d /proc/1 && echo whole"), Shows: "whole"},
	)
}
