package pull

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// fullPacker has no room.
type fullPacker struct{ noPacker }

var errFull = errors.New("no room")

// Write implements io.Writer.
func (fullPacker) Write([]byte) (int, error) { return 0, errFull }

// A disk that has no room for what is kept is no fault of the blob's: it does unpack.
func TestWhatCannotBeKeptIsNoFaultOfTheBlob(t *testing.T) {
	b := &bringing{Options: Options{Limits: Limits{Ratio: bombRatio}}, buffers: newPool(1), windows: newWindows(smallWindow)}
	from, to := newPipe(t.Context(), b.buffers), newPipe(t.Context(), b.buffers)
	go from.fill(bytes.NewReader(make([]byte, 1024)), func(err error) error { return err })
	go b.decompress(t.Context(), &layer{format: formatTar}, from, to, fullPacker{})
	_, err := io.Copy(io.Discard, &reader{from: to, see: func([]byte) {}})
	if !errors.Is(err, errFull) || errors.As(err, new(*fault)) {
		t.Errorf("%v", err)
	}
}
