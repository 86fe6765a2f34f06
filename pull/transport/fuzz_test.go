package transport

import (
	"context"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzOpen reads any archive as far as a load would.
func FuzzOpen(f *testing.F) {
	config, layers := testImage(f)
	id := sha(config) + ".json"
	f.Add([]byte(pack(f, reg("manifest.json", `[{"Config":"`+id+`","RepoTags":["x:1"],"Layers":["0","l"]}]`), reg(id, config), reg("0", layers[0]), reg("1", zipped(f, layers[1])), link("l", "1"))))
	f.Add([]byte(pack(f, reg("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), reg("index.json", `{"schemaVersion":2,"manifests":[{"digest":"sha256:`+sha("{}")+`","size":2,"annotations":{"org.opencontainers.image.ref.name":"x:1"}}]}`), reg("blobs/sha256/"+sha("{}"), "{}"))))
	f.Add([]byte(pack(f, reg("repositories", `{"x":{"1":"aa"}}`), reg("aa/json", `{"os":"linux"}`), reg("aa/layer.tar", layers[0]))))
	f.Add([]byte(pack(f, reg("version", dirVersionWords), reg("manifest.json", `{"config":{}}`))))
	f.Fuzz(func(t *testing.T, archive []byte) {
		fd, err := unix.MemfdCreate("archive", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "archive")
		if _, err := f.Write(archive); err != nil {
			t.Fatal(err)
		}
		s, err := Open(context.Background(), f, "")
		if err != nil {
			return
		}
		defer s.Close()
		all, err := s.Images()
		if err != nil {
			return
		}
		for _, i := range all {
			body, _, err := s.Manifest(context.Background(), i.Identifier)
			if err != nil {
				continue
			}
			digests, err := Layers(body)
			if err != nil {
				continue
			}
			for _, d := range digests {
				if r, err := s.Blob(context.Background(), d, int64(len(layers[0])), 0); err == nil {
					_, _ = io.Copy(io.Discard, r)
					r.Close()
				}
			}
		}
	})
}
