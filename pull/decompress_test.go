package pull

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

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
	return newWindows(MaxWindow).decompressor(context.Background(), blob, f)
}

// largeWindow is a zstd frame that asks for a window of 128 MiB.
func largeWindow(t *testing.T) []byte {
	t.Helper()
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, zstd.WithWindowSize(MaxWindow), zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a flush in between, so that the size is not known at first
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return frame.Bytes()
}

// TestLargeWindowsTakeTurns has two layers with large windows at once: the second
// waits for the memory of the first; a small one does not.
func TestLargeWindowsTakeTurns(t *testing.T) {
	large, w := largeWindow(t), newWindows(MaxWindow)
	open := func(ctx context.Context, blob []byte) (io.ReadCloser, error) {
		return w.decompressor(ctx, bufio.NewReader(bytes.NewReader(blob)), formatZstd)
	}
	first, err := open(context.Background(), large)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, first); n != 200_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := open(ctx, large); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one beside the first: %v", err)
	}
	small, err := open(context.Background(), registrytest.NewLayer(registrytest.Zstd, file("a")).Blob())
	if err != nil {
		t.Fatal(err)
	}
	small.Close()
	first.Close()
	second, err := open(context.Background(), large)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()

	// A limit below it is named.
	tight := newWindows(1 << 20)
	r, err := tight.decompressor(context.Background(), bufio.NewReader(bytes.NewReader(large)), formatZstd)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	if limit := (*LimitError)(nil); !errors.As(err, &limit) || limit.Key != "zstd-window" {
		t.Errorf("a limit of 1 MiB: %v", err)
	}
}
