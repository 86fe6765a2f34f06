package unpack

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"rootlet/fuseoverlay/internal/testns"
	"rootlet/fuseoverlay/tree"

	"golang.org/x/sys/unix"
)

// BenchmarkUnpack unpacks the archive that ROOTLET_BENCH_LAYER names, or one of
// 2,000 small files in 200 directories. It does not sync.
func BenchmarkUnpack(b *testing.B) {
	testns.Need(b)
	open := smallFiles(b)
	if path := os.Getenv("ROOTLET_BENCH_LAYER"); path != "" {
		open = func() io.ReadCloser {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			return f
		}
	}
	top := b.TempDir()
	above, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(above)
	for b.Loop() {
		b.StopTimer()
		if err := tree.RemoveAt(above, "root"); err != nil {
			b.Fatal(err)
		}
		if err := os.Mkdir(top+"/root", 0o700); err != nil {
			b.Fatal(err)
		}
		root, err := unix.Open(top+"/root", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		in := open()
		b.StartTimer()
		res, err := Unpack(context.Background(), in, root, Options{OneID: testns.OneID()})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(res.Size)
		in.Close()
		unix.Close(root)
	}
}

func smallFiles(b *testing.B) func() io.ReadCloser {
	var members []member
	for d := range 200 {
		members = append(members, dir(fmt.Sprintf("usr/share/dir%d", d)))
		for f := range 10 {
			members = append(members, file(fmt.Sprintf("usr/share/dir%d/file%d", d, f), strings.Repeat("text\n", 500*(f+1))))
		}
	}
	data := string(archive(b, members...))
	return func() io.ReadCloser { return io.NopCloser(strings.NewReader(data)) }
}
