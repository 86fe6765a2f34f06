package hostile

import (
	"archive/tar"
	"fmt"
	"strings"

	"rootlet/pull/registrytest"
)

// up leads above every root.
var up = strings.Repeat("../", 40)

func file(name, body string) registrytest.File {
	return registrytest.File{Name: name, Body: body, Mode: 0o644}
}

func directory(name string) registrytest.File { return registrytest.Dir(name) }

func symlink(name, target string) registrytest.File { return registrytest.Symlink(name, target) }

func hardlink(name, target string) registrytest.File { return registrytest.Hardlink(name, target) }

func special(kind byte, name string) registrytest.File {
	return registrytest.File{Name: name, Type: kind, Mode: 0o666}
}

func attributed(f registrytest.File, pairs ...string) registrytest.File {
	f.Xattrs = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		f.Xattrs[pairs[i]] = pairs[i+1]
	}
	return f
}

// raw is a member's header as no library would write it (POSIX pax, ustar
// interchange format), with its content padded to blocks.
func raw(h rawHeader, content string) []byte {
	b := make([]byte, 512)
	copy(b, h.name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	size := h.size
	if size == "" {
		size = fmt.Sprintf("%011o", len(content))
	}
	copy(b[124:136], size)
	copy(b[136:], "13606437004\x00")
	b[156] = h.kind
	if b[156] == 0 {
		b[156] = tar.TypeReg
	}
	copy(b[157:257], h.link)
	copy(b[257:], "ustar\x0000")
	if h.edit != nil {
		h.edit(b)
	}
	sum(b)
	if h.checksum != "" {
		copy(b[148:156], h.checksum)
	}
	b = append(b, content...)
	return append(b, make([]byte, (512-len(b)%512)%512)...)
}

// rawHeader says what of a header is out of the ordinary.
type rawHeader struct {
	name, link     string
	kind           byte
	size, checksum string
	edit           func([]byte)
}

func sum(b []byte) {
	copy(b[148:156], "        ")
	total := 0
	for _, c := range b[:512] {
		total += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", total))
}

// pax is an extended header of these records, which its reader takes as they are.
func pax(kind byte, records ...string) []byte {
	var text strings.Builder
	for i := 0; i < len(records); i += 2 {
		line := " " + records[i] + "=" + records[i+1] + "\n"
		size := len(line) + len(fmt.Sprint(len(line)))
		size = len(line) + len(fmt.Sprint(size))
		fmt.Fprintf(&text, "%d%s", size, line)
	}
	return raw(rawHeader{name: "pax", kind: kind}, text.String())
}

// ending is what ends an archive.
func ending() []byte { return make([]byte, 1024) }

// joined is an archive of raw pieces.
func joined(pieces ...[]byte) func(*Scene) []byte {
	return func(s *Scene) []byte {
		var all []byte
		for _, p := range pieces {
			all = append(all, p...)
		}
		return append(all, ending()...)
	}
}
