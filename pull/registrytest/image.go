// Package registrytest makes images in code and serves them from a registry
// in the process, with faults on demand. It is for the tests of this and of
// other packages and is part of no program.
package registrytest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression of a layer.
type Compression string

// The compressions that images use.
const (
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
	Plain Compression = "tar"
)

// File is one entry of a layer. Type is that of archive/tar, and a regular
// file if zero.
type File struct {
	Name         string
	Type         byte
	Body         string
	Link         string
	Mode         int64 // 0 is 0755
	UID, GID     int
	Major, Minor int64 // of a device
	Xattrs       map[string]string
	Time         time.Time // zero is 2020-01-01
}

// Dir, Symlink, Hardlink, Whiteout and Opaque are the usual entries.
func Dir(name string) File { return File{Name: name + "/", Type: tar.TypeDir} }

func Symlink(name, target string) File { return File{Name: name, Type: tar.TypeSymlink, Link: target} }

func Hardlink(name, target string) File {
	return File{Name: name, Type: tar.TypeLink, Link: target}
}

// Whiteout hides name, which may have a directory before it.
func Whiteout(dir, name string) File { return File{Name: dir + ".wh." + name} }

// Opaque hides all that lower layers have in dir.
func Opaque(dir string) File { return File{Name: dir + ".wh..wh..opq"} }

// Layer is a tar and how it is served.
type Layer struct {
	Tar         []byte
	Compression Compression
	MediaType   types.MediaType // empty for the usual one
}

// NewLayer packs files.
func NewLayer(c Compression, files ...File) Layer {
	return Layer{Tar: Tar(files...), Compression: c}
}

// RandomLayer holds one file of size random bytes, the same for the same seed.
func RandomLayer(c Compression, seed uint64, size int) Layer {
	body := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = source.Read(body) // never fails
	return NewLayer(c, File{Name: fmt.Sprintf("random-%d", seed), Body: string(body)})
}

// Tar packs files. It panics on what tar cannot hold.
func Tar(files ...File) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		must(w.WriteHeader(f.header()))
		_, err := w.Write([]byte(f.Body))
		must(err)
	}
	must(w.Close())
	return out.Bytes()
}

func (f File) header() *tar.Header {
	h := &tar.Header{
		Name: f.Name, Typeflag: f.Type, Linkname: f.Link, Size: int64(len(f.Body)),
		Mode: f.Mode, Uid: f.UID, Gid: f.GID, ModTime: f.Time, Devmajor: f.Major, Devminor: f.Minor,
	}
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
	}
	if h.Mode == 0 {
		h.Mode = 0o755
	}
	if h.ModTime.IsZero() {
		h.ModTime = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	for name, value := range f.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
	return h
}

// DiffID is the digest of the tar.
func (l Layer) DiffID() string { return Digest(l.Tar) }

// Blob is the layer as it is served.
func (l Layer) Blob() []byte {
	var out bytes.Buffer
	switch l.Compression {
	case Gzip:
		w := gzip.NewWriter(&out)
		_, err := w.Write(l.Tar)
		must(err)
		must(w.Close())
	case Zstd:
		w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		must(err)
		_, err = w.Write(l.Tar)
		must(err)
		must(w.Close())
	default:
		return l.Tar
	}
	return out.Bytes()
}

func (l Layer) mediaType(docker bool) types.MediaType {
	switch {
	case l.MediaType != "":
		return l.MediaType
	case docker && l.Compression == Gzip:
		return types.DockerLayer
	case docker && l.Compression == Plain:
		return types.DockerUncompressedLayer
	case l.Compression == Gzip:
		return types.OCILayer
	case l.Compression == Zstd:
		return types.OCILayerZStd
	}
	return types.OCIUncompressedLayer
}

// Image is what a manifest is made of. Fields that lie make hostile images.
type Image struct {
	Layers       []Layer
	Docker       bool           // schema 2 media types instead of OCI's
	OS           string         // empty is linux
	Architecture string         // empty is amd64
	Variant      string         //
	Config       map[string]any // Env, Cmd, Entrypoint, User, ...
	DiffIDs      []string       // nil for the true ones
	Edit         func(*v1.Manifest)
}

// ConfigJSON is the image's configuration.
func (i Image) ConfigJSON() []byte {
	diffIDs := i.DiffIDs
	if diffIDs == nil {
		diffIDs = []string{}
		for _, l := range i.Layers {
			diffIDs = append(diffIDs, l.DiffID())
		}
	}
	c := map[string]any{
		"os": or(i.OS, "linux"), "architecture": or(i.Architecture, "amd64"),
		"created": "2020-01-02T03:04:05Z",
		"rootfs":  map[string]any{"type": "layers", "diff_ids": diffIDs},
		"config":  i.Config,
	}
	if i.Variant != "" {
		c["variant"] = i.Variant
	}
	b, err := json.Marshal(c)
	must(err)
	return b
}

// ID is the image's id, hexadecimal.
func (i Image) ID() string { return Digest(i.ConfigJSON())[len("sha256:"):] }

func (i Image) platform() *v1.Platform {
	return &v1.Platform{OS: or(i.OS, "linux"), Architecture: or(i.Architecture, "amd64"), Variant: i.Variant}
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// Digest is the sha256 digest of b in its usual form.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// must is for what cannot fail in memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
