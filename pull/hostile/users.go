package hostile

import (
	"archive/tar"
	"strings"

	"rootlet/pull/registrytest"
)

// users are images whose user, or whose tables of users, are traps.
func users() []Case {
	as := func(user string, files ...registrytest.File) func(*Scene, string) {
		return configured(map[string]any{"User": user}, files...)
	}
	passwd := func(lines string) registrytest.File { return file("etc/passwd", lines) }
	id := shell("id -u; id -g")
	return of(14,
		Case{Name: "passwd-fifo", What: "never answers", Serve: as("alice", special(tar.TypeFifo, "etc/passwd")), Run: id, Refused: "/etc/passwd"},
		Case{Name: "passwd-zero", What: "-> /dev/zero, never ends", Serve: as("alice", symlink("etc/passwd", "/dev/zero")), Run: id, Refused: "alice"},
		Case{Name: "passwd-victim", What: "-> a file outside", Serve: as("alice", symlink("etc/passwd", "VICTIM/passwd")), Run: id, Refused: "alice"},
		Case{Name: "passwd-directory", Serve: as("alice", file(".wh.etc", ""), directory("etc/passwd")), Run: id, Refused: "/etc/passwd|alice"},
		Case{Name: "passwd-2-gib", What: "with holes", Serve: func(s *Scene, name string) {
			l := registrytest.Layer{Compression: registrytest.Gzip, Tar: append(sparse("etc/passwd", 2<<30), ending()...)}
			s.Registry.Push(name, image(s, map[string]any{"User": "alice"}, l))
		}, Run: id, Refused: "/etc/passwd|alice"},
		Case{Name: "passwd-uid-overflow", What: "uid 2^32", Serve: as("eve", passwd("eve:x:4294967296:0::/:/bin/sh\n")), Run: id, Refused: "4294967296|eve"},
		Case{Name: "passwd-uid-negative", Serve: as("eve", passwd("eve:x:-1:0::/:/bin/sh\n")), Run: id, Refused: "-1|eve"},
		Case{Name: "passwd-uid-2-31", Serve: as("eve", passwd("eve:x:2147483648:0::/:/bin/sh\n")), Run: id, Refused: "2147483648|eve"},
		Case{Name: "passwd-numeric-name", What: "a user called 0 who is another (CVE-2016-3697)", Serve: as("0", passwd("0:x:1000:1000::/:/bin/sh\n")), Run: id, Shows: "^0$"},
		Case{Name: "passwd-long-line", What: "one line of 2 MiB", Serve: as("alice", passwd(strings.Repeat("a", 2<<20))), Run: id, Refused: "/etc/passwd|alice"},
		Case{Name: "group-zero", Serve: as("root:team", symlink("etc/group", "/dev/zero")), Run: id, Refused: "team"},
		Case{Name: "number-overflow", Serve: as("4294967296"), Run: id, Refused: "4294967296"},
		Case{Name: "number-negative", Serve: as("-1"), Run: id, Refused: "-1"},
		Case{Name: "group-overflow", Serve: as("0:4294967296"), Run: id, Refused: "4294967296"},
		Case{Name: "newline", Serve: as("alice\nroot"), Run: id, Refused: "user"},
		Case{Name: "ten-thousand-bytes", Serve: as(strings.Repeat("u", 10_000)), Run: id, Refused: "user"},
		Case{Name: "path", Serve: as("../../etc/passwd"), Run: id, Refused: "user"},
	)
}
