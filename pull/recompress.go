package pull

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"

	"rootlet/pull/grammar"
)

// compressed is what a layer has become once: remembered beside the blobs, so
// that a registry that has it is not sent it, and it is not made, again.
type compressed struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// note is under what name that is remembered.
func (l *layerPush) note() string { return fmt.Sprintf("%s-%d", l.format, l.level) }

// compressedBefore reports whether the target has the layer as it was compressed
// before.
func (l *layerPush) compressedBefore(ctx context.Context) (bool, error) {
	var c compressed
	text, err := l.kept.Note(l.from.Digest.String(), l.note())
	if err != nil || json.Unmarshal(text, &c) != nil || !grammar.IsDigest(c.Digest) || c.Size < 0 {
		return false, nil // it is made anew
	}
	l.becomes(c)
	there, err := l.target.HasBlob(ctx, l.to)
	if there {
		l.done(PushedLayer{Existed: true})
	}
	return there, err
}

// becomes notes as what the layer is sent.
func (l *layerPush) becomes(c compressed) {
	l.to = descriptor(mediaTypeAs(l.from.MediaType, l.format), c.Digest, c.Size)
	l.to.Annotations = l.from.Annotations
}

// mediaTypeAs is a layer's media type with another compression: Docker's stays
// Docker's, which has none for zstd.
func mediaTypeAs(t types.MediaType, f format) types.MediaType {
	docker := t == types.DockerLayer || t == types.DockerUncompressedLayer || t == types.DockerForeignLayer
	switch {
	case f == formatZstd:
		return types.OCILayerZStd
	case docker:
		return types.DockerLayer
	}
	return types.OCILayer
}

// compress makes the blob that is sent, and keeps it until drop.
func (l *layerPush) compress(ctx context.Context, is format) (drop func(), err error) {
	l.progress.state(Compressing)
	blob, _, err := l.kept.Read(l.from.Digest.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBlob
	}
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	buffered := bufio.NewReaderSize(&sentBlob{blob, l.progress}, 256<<10)
	tar, err := l.windows.decompressor(ctx, buffered, is)
	if err != nil {
		return nil, err
	}
	defer tar.Close()
	out, err := l.kept.Create()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	encoder, err := compressor(out, l.format, l.level)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(encoder, stopAt{ctx, noPanic{tar}})
	err = errors.Join(err, encoder.Close())
	if err == nil {
		_, err = io.Copy(io.Discard, buffered) // to its end, where it is compared with its digest
	}
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	c := compressed{Digest: out.Digest(), Size: out.Size()}
	had := l.kept.Has(c.Digest)
	if err := out.Keep(c.Digest); err != nil {
		return nil, err
	}
	drop = func() {
		if !had {
			_ = l.kept.Remove(c.Digest) // or else the next sweep does
		}
	}
	l.becomes(c)
	if text, err := json.Marshal(c); err == nil {
		_ = l.kept.SetNote(l.from.Digest.String(), l.note(), text) // without it, it is made again
	}
	return drop, nil
}

// compressor makes the same bytes of the same tar each time.
func compressor(w io.Writer, f format, level int) (io.WriteCloser, error) {
	if f == formatZstd {
		l := zstd.SpeedDefault
		if level > 0 {
			l = zstd.EncoderLevelFromZstd(level)
		}
		return zstd.NewWriter(w, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	}
	if level == 0 {
		level = pgzip.DefaultCompression
	}
	return pgzip.NewWriterLevel(w, level) // on all cores; its bytes do not depend on how many
}

// stopAt ends reading with its context.
type stopAt struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (s stopAt) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.from.Read(p)
}

func openText(text []byte, offset int64) io.ReadCloser {
	return io.NopCloser(bytes.NewReader(text[min(offset, int64(len(text))):]))
}
