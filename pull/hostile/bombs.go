package hostile

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"rootlet/pull/registrytest"
)

// bombs cost more than they say. None is ever whole in memory, here either: a
// stretch of zeros is compressed once, and sent again and again.
func bombs() []Case {
	const stretch = 64 << 20
	file10G := raw(rawHeader{name: "zeros", size: "\x80\x00\x00\x00\x00\x00\x00\x02\x80\x00\x00\x00"}, "")
	return of(28,
		Case{Name: "gzip", What: "10 MiB, which are 10 GiB of zeros", Serve: streamed(types.OCILayer, 11<<20, func(w http.ResponseWriter) {
			repeated(w, gzipped(file10G), gzipped(make([]byte, stretch)), 160)
		}), Refused: "inflates to more than 1000 times"},
		Case{Name: "zstd", What: "320 KiB, which are 10 GiB of zeros", Serve: streamed(types.OCILayerZStd, 1<<20, func(w http.ResponseWriter) {
			repeated(w, zstded(file10G), zstded(make([]byte, stretch)), 160)
		}), Refused: "inflates to more than 1000 times"},
		Case{Name: "zstd-run-blocks", What: "one block of 128 KiB in four bytes, for ever", Serve: streamed(types.OCILayerZStd, 1<<30, func(w http.ResponseWriter) {
			repeated(w, append(zstdHeader(7), zstdRun()...), bytes.Repeat(zstdRun(), 1000), 1000)
		}), Refused: "inflates to more than 1000 times|invalid tar header"},
		Case{Name: "zstd-window-2-gib", Serve: blob(types.OCILayerZStd, func() []byte {
			return append(zstdHeader(21), zstdRun()...)
		}, nil), Refused: "limit zstd-window"},
		Case{Name: "zstd-skippable-frames", What: "a stream of nothing: 4 GiB to be skipped", Serve: streamed(types.OCILayerZStd, 1<<20, func(w http.ResponseWriter) {
			_, _ = w.Write([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"))
			_, _ = w.Write(make([]byte, 1<<20-8))
		}), Refused: "digest|does not unpack"},
		Case{Name: "nested", What: "a gzip in the gzip is a file of noise, not opened", Serve: archived(func(*Scene) []byte { return gzipped(registrytest.Tar(file("x", "x"))) }), Refused: "invalid tar header|unexpected EOF"},
		Case{Name: "gnu-sparse", What: "a file of 8 EiB that is all hole", Serve: archived(joined(sparse("hole", 1<<63-1))), Refused: "more than [0-9]+ bytes|invalid tar header"},
		Case{Name: "gnu-sparse-64-gib", Serve: archived(joined(sparse("hole", 63<<30))), Refused: "more than [0-9]+ bytes"},
		Case{Name: "pax-sparse", What: "64 GiB of hole in PAX form 1.0", Serve: archived(joined(paxSparse("1.0", "68719476736"))), Refused: "more than [0-9]+ bytes"},
		Case{Name: "pax-sparse-older", Serve: archived(joined(pax(tar.TypeXHeader,
			"GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.name", "hole", "GNU.sparse.size", "68719476736", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "0,0"), raw(rawHeader{name: "x"}, ""))), Refused: "more than [0-9]+ bytes"},
		Case{Name: "sparse-map", What: "a map of 10^9 pieces", Serve: archived(joined(pax(tar.TypeXHeader,
			"GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "hole", "GNU.sparse.realsize", "1"), raw(rawHeader{name: "x"}, "1000000000\n0\n0\n"))), Refused: "unexpected EOF|invalid tar header|sparse"},
		Case{Name: "many-small-holes", What: "sixteen sparse files of 1 GiB are more than a layer may have", Serve: archived(func(*Scene) []byte {
			var all []byte
			for i := range 16 {
				all = append(all, sparse("hole"+number(i), 1<<30)...)
			}
			return append(all, ending()...)
		}), Refused: "more than [0-9]+ bytes"},
		Case{Name: "pax-records", What: "an extended header of 64 MiB", Serve: archived(func(*Scene) []byte {
			return append(pax(tar.TypeXHeader, "comment", string(make([]byte, 64<<20))), ending()...)
		}), Refused: "field too long|invalid tar header"},
		Case{Name: "headers-only", What: "extended headers in a row, which belong to nothing", Serve: archived(func(*Scene) []byte {
			return append(bytes.Repeat(pax(tar.TypeXHeader, "comment", "x"), 100_000), ending()...)
		}), Run: shell("echo ran"), Shows: "ran"},
		Case{Name: "zeros-after-the-end", What: "400 MiB of padding", Serve: streamed(types.OCILayer, 1<<20, func(w http.ResponseWriter) {
			repeated(w, gzipped(append(raw(rawHeader{name: "x"}, "x"), ending()...)), gzipped(make([]byte, stretch)), 64)
		}), Refused: "inflates to more than 1000 times"},
		Case{Name: "empty-members", What: "a gzip of a million members with nothing in them", Serve: streamed(types.OCILayer, int64(len(gzipped(nil)))*1_000_000, func(w http.ResponseWriter) {
			repeated(w, nil, bytes.Repeat(gzipped(nil), 1000), 1000)
		}), Refused: "digest"},
	)
}

// repeated sends first, and part so many times, or until the client goes.
func repeated(w http.ResponseWriter, first, part []byte, times int) {
	if _, err := w.Write(first); err != nil {
		return
	}
	for range times {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // into memory
	_ = w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

// zstdHeader begins a frame with a window of 2^(10+exponent) bytes (RFC 8878, 3.1.1.1).
func zstdHeader(exponent byte) []byte {
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3}
}

// zstdRun is a block of 128 KiB of zeros, not the last (RFC 8878, 3.1.1.2).
func zstdRun() []byte {
	const runLength = 1
	block := binary.LittleEndian.AppendUint32(nil, 128<<10<<3|runLength<<1)
	return append(block[:3], 0)
}

// sparse is a file that is all hole, in GNU's old form (tar manual, "Old GNU Format").
func sparse(name string, size int64) []byte {
	return raw(rawHeader{name: name, kind: tar.TypeGNUSparse, size: "00000000000", edit: func(b []byte) {
		copy(b[257:], "ustar  \x00")
		base256(b[386:398], size) // where the only piece is: the end
		base256(b[398:410], 0)
		base256(b[483:495], size)
	}}, "")
}

// base256 is how a field says what has too many digits (tar manual, "GNU
// Extensions to the Archive Format").
func base256(field []byte, n int64) {
	binary.BigEndian.PutUint64(field[len(field)-8:], uint64(n))
	field[0] = 0x80
}

// paxSparse is a hole in PAX form 1.0, whose map is in the content.
func paxSparse(name, size string) []byte {
	content := make([]byte, 512)
	copy(content, "1\n"+size+"\n0\n")
	return append(pax(tar.TypeXHeader, "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", name, "GNU.sparse.realsize", size),
		raw(rawHeader{name: "x"}, string(content))...)
}
