package hostile

import (
	"archive/tar"
	"strconv"
	"strings"

	"rootlet/pull/registrytest"
)

func number(i int) string { return strconv.Itoa(i) }

// kinds are members that are no files, or files that are too much.
func kinds() []Case {
	return of(26,
		Case{Name: "memory-device", What: "c 1:1 is not made", Serve: members(device(tar.TypeChar, "mem", 1, 1)), Run: shell("ls /mem; echo ran"), Shows: "ran", Hides: "(?m)^/mem"},
		Case{Name: "disk-device", What: "b 8:0 is not made", Serve: members(device(tar.TypeBlock, "sda", 8, 0)), Run: shell("ls /sda; echo ran"), Shows: "ran", Hides: "(?m)^/sda"},
		Case{Name: "device-over-program", What: "the one below stays", Serve: members(directory("bin"), device(tar.TypeChar, "bin/busybox", 1, 1)), Run: shell("echo ran"), Shows: "ran"},
		Case{Name: "device-numbers", What: "beyond what a device can have", Serve: archived(joined(raw(rawHeader{name: "c", kind: tar.TypeChar, edit: func(b []byte) {
			copy(b[329:], "7777777\x007777777\x00")
		}}, ""))), Run: shell("ls /c; echo ran"), Shows: "ran", Hides: "(?m)^/c"},
		Case{Name: "fifo", What: "opens nothing on the way", Serve: members(special(tar.TypeFifo, "pipe")), Run: shell("test -p /pipe && echo pipe"), Shows: "pipe"},
		Case{Name: "fifo-as-program", Serve: members(special(tar.TypeFifo, "program")), Run: []string{"--", "/program"}, Refused: "program"},
		Case{Name: "unknown-type", Serve: archived(joined(raw(rawHeader{name: "v", kind: 'V'}, ""))), Refused: `unknown type`},
		Case{Name: "solaris-type", Serve: archived(joined(raw(rawHeader{name: "v", kind: 'X'}, ""))), Refused: `unknown type|invalid tar header`},
		Case{Name: "long-name", What: "64 KiB", Serve: archived(joined(raw(rawHeader{name: "././@LongLink", kind: tar.TypeGNULongName}, strings.Repeat("n", 64<<10)+"\x00"), raw(rawHeader{name: "x"}, ""))), Refused: "bytes of a name"},
		Case{Name: "long-component", What: "256 bytes", Serve: members(file(strings.Repeat("n", 256), "")), Refused: "file name too long"},
		Case{Name: "long-link", What: "5000 bytes", Serve: members(symlink("l", strings.Repeat("n", 5000))), Refused: "bytes of a link's target"},
		Case{Name: "endless-name", What: "a long name of 3 MiB", Serve: archived(joined(raw(rawHeader{name: "././@LongLink", kind: tar.TypeGNULongName}, strings.Repeat("n", 3<<20)+"\x00"), raw(rawHeader{name: "x"}, ""))), Refused: "field too long|bytes of a name"},
		Case{Name: "deep", What: "2000 directories in each other", Serve: members(file(strings.Repeat("d/", 2000)+"f", "x")), Run: shell("echo ran"), Shows: "ran"},
		Case{Name: "deeper-than-a-path", Serve: members(file(strings.Repeat("d/", 2100)+"f", "x")), Refused: "bytes of a name"},
		Case{Name: "name-with-zero", Serve: archived(joined(pax(tar.TypeXHeader, "path", "a\x00b"), raw(rawHeader{name: "x"}, ""))), Refused: "invalid tar header"},
		Case{Name: "huge-file", What: "says 100 GiB and ends", Serve: archived(joined(raw(rawHeader{name: "x", size: "\x80\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x00"}, ""))), Refused: "more than [0-9]+ bytes"},
		Case{Name: "negative-size", Serve: archived(joined(raw(rawHeader{name: "x", size: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"}, ""))), Refused: "invalid tar header"},
		Case{Name: "largest-size", What: "2^63-1, which overflows with the padding", Serve: archived(joined(raw(rawHeader{name: "x", size: "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"}, ""))), Refused: "more than [0-9]+ bytes|invalid tar header"},
		Case{Name: "pax-size", What: "another size in the extended header", Serve: archived(joined(pax(tar.TypeXHeader, "size", "99999999999999"), raw(rawHeader{name: "x"}, "x"))), Refused: "more than [0-9]+ bytes"},
		Case{Name: "bad-checksum", Serve: archived(joined(raw(rawHeader{name: "x", checksum: "0000000\x00"}, "x"))), Refused: "invalid tar header"},
		Case{Name: "cut-in-a-header", Serve: archived(func(*Scene) []byte { return raw(rawHeader{name: "x"}, "x")[:300] }), Refused: "unexpected EOF"},
		Case{Name: "cut-in-a-file", Serve: archived(func(*Scene) []byte { return raw(rawHeader{name: "x", size: "00000010000"}, "x") }), Refused: "unexpected EOF"},
		Case{Name: "noise", What: "4 KiB of it in the place of an archive", Serve: archived(func(*Scene) []byte { return registrytest.RandomLayer(registrytest.Plain, 7, 8192).Tar[1024:5120] }), Refused: "invalid tar header"},
		Case{Name: "owner-beyond", What: "uid 2^32-1, which means none", Serve: members(owned(1<<32-1, 0)), Refused: "no valid id"},
		Case{Name: "owner-overflow", What: "uid 2^32, which would be root", Serve: members(owned(1<<32, 0)), Refused: "no valid id"},
		Case{Name: "owner-negative", Serve: archived(joined(pax(tar.TypeXHeader, "uid", "-1"), raw(rawHeader{name: "x"}, ""))), Refused: "no valid id|invalid tar header"},
		Case{
			Name: "times", What: "of the year 10^11 and before 1970", Serve: archived(joined(
				pax(tar.TypeXHeader, "mtime", "3155760000000000000"), raw(rawHeader{name: "late"}, ""), pax(tar.TypeXHeader, "mtime", "-9223372036854775808"), raw(rawHeader{name: "early"}, ""))),
			Run: shell("ls /late /early >/dev/null && echo ran"), Shows: "ran",
		},
		Case{Name: "global-header", What: "a name for all that follow", Serve: func(s *Scene, name string) {
			archived(joined(pax(tar.TypeXGlobalHeader, "path", up+s.Victim+"/hello"), raw(rawHeader{name: "x"}, "inside")))(s, name)
		}, Refused: outside},
		Case{Name: "same-name-often", What: "500 times one file, in turn a directory", Serve: members(again(500)...), Run: shell("echo ran"), Shows: "ran"},
	)
}

func device(kind byte, name string, major, minor int64) registrytest.File {
	f := special(kind, name)
	f.Major, f.Minor = major, minor
	return f
}

func owned(uid, gid int) registrytest.File {
	f := file("x", "")
	f.UID, f.GID = uid, gid
	return f
}

func again(n int) []registrytest.File {
	var files []registrytest.File
	for i := range n {
		if i%2 == 0 {
			files = append(files, file("x", "y"))
		} else {
			files = append(files, directory("x"))
		}
	}
	return files
}
