package pull

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// format is how a layer's tar is compressed.
type format string

const (
	formatTar  format = "tar"
	formatGzip format = "gzip"
	formatZstd format = "zstd"
)

// layerFormat reads a layer's media type. Foreign layers ("nondistributable")
// are layers like others; the URLs they name are never followed.
func layerFormat(t types.MediaType) (format, error) {
	switch t {
	case types.OCILayer, types.DockerLayer, types.OCIRestrictedLayer, types.DockerForeignLayer:
		return formatGzip, nil
	case types.OCILayerZStd, "application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":
		return formatZstd, nil
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer, types.OCIUncompressedRestrictedLayer:
		return formatTar, nil
	}
	return "", faultf(Unsupported, "layers of type %q are not known", t)
}

// sniff tells a format by its first bytes (RFC 1952 2.3.1, RFC 8878 3.1.1). A
// tar begins with a file name, and no name begins like that.
func sniff(head []byte) format {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return formatGzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		return formatZstd
	}
	return formatTar
}

// decompressor makes a tar of a blob. It fails where the blob is not what its
// media type says: no two readers shall see different layers in it. Reading to
// the end reads the blob to its end.
func (w windows) decompressor(ctx context.Context, blob *bufio.Reader, want format) (io.ReadCloser, error) {
	head, err := blob.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if is := sniff(head); is != want {
		return nil, faultf(DigestMismatch, "is %s by its content and %s by its media type", is, want)
	}
	switch want {
	case formatGzip:
		r, err := gzip.NewReader(blob)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return r, nil
	case formatZstd:
		return w.zstdReader(ctx, blob)
	}
	return io.NopCloser(blob), nil
}

// windows are the memory of zstd decoders: there is a place for one with a large
// window, so that several of them do not add up.
type windows struct {
	place chan struct{}
	most  int64 // bytes
}

func newWindows(most int64) windows { return windows{make(chan struct{}, 1), most} }

// smallWindow is what any decoder may have, in bytes: zstd makes no more up to its
// level 19, and asks decoders for no less (RFC 8878, 3.1.1.1.2).
const smallWindow = 8 << 20

// zstdReader decodes a blob with the window that its first frame asks for. One
// goroutine per layer is enough: other layers use the other cores. Low memory
// keeps a decoder at its window plus a block.
func (w windows) zstdReader(ctx context.Context, blob *bufio.Reader) (io.ReadCloser, error) {
	window, release := int64(smallWindow), func() {}
	if asksForMore(blob) {
		select {
		case w.place <- struct{}{}:
			window, release = max(window, w.most), func() { <-w.place }
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	r, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(uint64(window)), zstd.WithDecoderLowmem(true))
	if err != nil {
		release()
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &decoder{r, window, release}, nil
}

// asksForMore says that a small window will not do, or that one cannot tell from
// the first frame.
func asksForMore(blob *bufio.Reader) bool {
	head, _ := blob.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	if err := h.Decode(head); err != nil || h.Skippable {
		return true
	}
	if h.SingleSegment {
		return h.FrameContentSize > smallWindow
	}
	return h.WindowSize > smallWindow
}

// decoder is one for zstd that says which limit it came upon.
type decoder struct {
	from    *zstd.Decoder
	window  int64
	release func()
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.from.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = limitf("zstd-window", "needs more than %d bytes of memory to decode", d.window)
	}
	return n, err
}

// Close implements io.Closer.
func (d *decoder) Close() error {
	d.from.Close()
	d.release()
	return nil
}

// noPanic turns a decoder's panic into an error: what it reads comes from
// anybody, and a process that stops here would leave staged layers behind.
type noPanic struct{ io.Reader }

// Read implements io.Reader.
func (r noPanic) Read(p []byte) (n int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			n, err = 0, fmt.Errorf("decoder: %v", cause)
		}
	}()
	return r.Reader.Read(p)
}
