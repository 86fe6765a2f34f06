package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// files are what a layer is made of: names on this machine, and the prefix under
// which they stand in the layer.
type files struct {
	prefix string
	names  []string
}

// descriptor is OCI's, as far as it is needed here.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	diffID    string
	unpacked  int64
}

// packing is how a layer is compressed.
type packing struct {
	mediaType string
	open      func(io.Writer) (io.WriteCloser, error)
}

var (
	gzipped = packing{"application/vnd.oci.image.layer.v1.tar+gzip", func(w io.Writer) (io.WriteCloser, error) {
		return gzip.NewWriter(w), nil
	}}
	zstandard = packing{"application/vnd.oci.image.layer.v1.tar+zstd", func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w)
	}}
)

// buildImage writes an OCI layout of one image into dir, and says how large its
// layers are.
func buildImage(dir string, p packing, layers []fill) (built []descriptor, err error) {
	if built, err = buildLayers(dir, p, layers); err != nil {
		return nil, err
	}
	return built, writeLayout(dir, built, nil)
}

// fill writes what a layer holds.
type fill func(*tar.Writer) error

// buildLayers writes layers into the blobs of a layout.
func buildLayers(dir string, p packing, layers []fill) (built []descriptor, err error) {
	if err := os.MkdirAll(blobsOf(dir), 0o755); err != nil {
		return nil, err
	}
	built = make([]descriptor, len(layers))
	failures := make([]error, len(layers))
	slots := make(chan struct{}, runtime.NumCPU())
	var wg sync.WaitGroup
	for i, fill := range layers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			built[i], failures[i] = buildLayer(blobsOf(dir), p, fill)
		})
	}
	wg.Wait()
	return built, errors.Join(failures...)
}

func blobsOf(dir string) string { return filepath.Join(dir, "blobs", "sha256") }

// buildLayer writes one layer into blobs, under its digest.
func buildLayer(blobs string, p packing, fill fill) (d descriptor, err error) {
	f, err := os.CreateTemp(blobs, "layer")
	if err != nil {
		return d, err
	}
	defer f.Close()
	blobHash, diffHash := sha256.New(), sha256.New()
	blobSize, diffSize := &counter{}, &counter{}
	z, err := p.open(io.MultiWriter(f, blobHash, blobSize))
	if err != nil {
		return d, err
	}
	tw := tar.NewWriter(io.MultiWriter(z, diffHash, diffSize))
	if err := errors.Join(fill(tw), tw.Close(), z.Close()); err != nil {
		return d, err
	}
	digest := hex.EncodeToString(blobHash.Sum(nil))
	d = descriptor{
		MediaType: p.mediaType, Digest: "sha256:" + digest, Size: blobSize.n,
		diffID: "sha256:" + hex.EncodeToString(diffHash.Sum(nil)), unpacked: diffSize.n,
	}
	return d, os.Rename(f.Name(), filepath.Join(blobs, digest))
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// writeLayout adds the configuration, the manifest and the index.
func writeLayout(dir string, layers []descriptor, labels map[string]string) error {
	blobs := blobsOf(dir)
	var diffIDs []string
	for _, l := range layers {
		diffIDs = append(diffIDs, l.diffID)
	}
	config, err := writeBlob(blobs, "application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/bin:/usr/bin"}, "Cmd": []string{"sh"}, "Labels": labels},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return err
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := writeBlob(blobs, manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": layers,
	})
	if err != nil {
		return err
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644),
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
}

func writeBlob(blobs, mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: int64(len(text))}
	return d, os.WriteFile(filepath.Join(blobs, digest), text, 0o644)
}

// busyboxLayer is Debian's static busybox and what a root needs besides.
func busyboxLayer(tw *tar.Writer) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return err
	}
	for _, dir := range []string{"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
	}
	for name, text := range map[string][]byte{
		"bin/busybox": program, "etc/passwd": []byte("root:x:0:0:root:/root:/bin/sh\n"), "etc/group": []byte("root:x:0:\n"),
	} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(text)), ModTime: time.Unix(0, 0)}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(text); err != nil {
			return err
		}
	}
	for _, applet := range []string{"sh", "true", "sleep", "cat", "grep", "ls", "id"} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the files into a layer, each directory before what it holds.
func (f files) fill(tw *tar.Writer) error {
	for _, name := range f.names {
		if err := f.add(tw, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// add writes one directory, file or link; other kinds and what is gone are left out.
func (f files) add(tw *tar.Writer, name string) error {
	fi, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	var link string
	switch fi.Mode().Type() {
	case fs.ModeSymlink:
		if link, err = os.Readlink(name); err != nil {
			return err
		}
	case fs.ModeDir, 0:
	default:
		return nil
	}
	h, err := tar.FileInfoHeader(fi, link)
	if err != nil {
		return err
	}
	h.Name = strings.TrimPrefix(f.prefix+name, "/")
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if fi.IsDir() {
		h.Name += "/"
	}
	if !fi.Mode().IsRegular() {
		return tw.WriteHeader(h)
	}
	in, err := os.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(tw, in, h.Size)
	return err
}
