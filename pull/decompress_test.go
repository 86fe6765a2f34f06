package pull

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"rootlet/pull/registrytest"
)

func TestDecompressor(t *testing.T) {
	layer := registrytest.NewLayer(registrytest.Gzip, file("a"))
	twice := append(layer.Blob(), layer.Blob()...) // gzip allows members after each other
	got, err := unpackAll(twice, formatGzip)
	if err != nil || !bytes.Equal(got, append(append([]byte{}, layer.Tar...), layer.Tar...)) {
		t.Errorf("two members: %d bytes, %v", len(got), err)
	}
	for name, blob := range map[string][]byte{
		"trailing garbage": append(layer.Blob(), "garbage"...),
		"cut":              layer.Blob()[:len(layer.Blob())-5],
		"header only":      layer.Blob()[:5],
		"nothing":          nil,
	} {
		if _, err := unpackAll(blob, formatGzip); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestWindow has a zstd frame that asks for a window of 2 GiB (RFC 8878
// 3.1.1.1.2: exponent 21, mantissa 0).
func TestWindow(t *testing.T) {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00}
	if _, err := unpackAll(frame, formatZstd); err == nil || !strings.Contains(err.Error(), "window") {
		t.Errorf("error %v, want one about the window", err)
	}
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("index out of range") }

func TestNoPanic(t *testing.T) {
	if n, err := (noPanic{panics{}}).Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

func unpackAll(blob []byte, f format) ([]byte, error) {
	r, err := newDecompressor(bufio.NewReader(bytes.NewReader(blob)), f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func FuzzDecompressor(f *testing.F) {
	for _, c := range []registrytest.Compression{registrytest.Gzip, registrytest.Zstd, registrytest.Plain} {
		f.Add(registrytest.NewLayer(c, file("a")).Blob())
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		r, err := newDecompressor(bufio.NewReader(bytes.NewReader(blob)), sniff(blob[:min(4, len(blob))]))
		if err != nil {
			return
		}
		defer r.Close()
		_, err = io.CopyN(io.Discard, r, 1<<20)
		if err != nil && errors.Is(err, io.ErrNoProgress) {
			t.Error(err)
		}
	})
}

func newDecompressor(blob *bufio.Reader, f format) (io.ReadCloser, error) {
	return newWindows(maxWindow).decompressor(context.Background(), blob, f)
}
