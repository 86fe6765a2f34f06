package pull

import (
	"fmt"
	"sync/atomic"
)

// Limits bound what an image may cost this host (threats 26 and 28). They are
// far above what real images need. Zero stands for the default; the names in the
// comments are those of the keys in the configuration's section [limits], which
// errors name too.
type Limits struct {
	LayerSize  int64 `json:"layerSize,omitempty"`  // layer-size: bytes of one layer, unpacked; 10 GiB
	ImageSize  int64 `json:"imageSize,omitempty"`  // image-size: bytes of all that are not there yet, unpacked; 30 GiB
	Layers     int   `json:"layers,omitempty"`     // layers: of an image; 500, and never more
	Entries    int   `json:"entries,omitempty"`    // entries: files and the like in a layer; 5 million
	PathLength int   `json:"pathLength,omitempty"` // path-length: bytes of a name; 4095, and never more
	XattrSize  int   `json:"xattrSize,omitempty"`  // xattr-size: bytes of attributes of a file; 256 KiB
	Ratio      int64 `json:"ratio,omitempty"`      // ratio: times its size that a layer may inflate to; 1000
	ZstdWindow int64 `json:"zstdWindow,omitempty"` // zstd-window: bytes of memory to decode a layer; 128 MiB, and never more
	FreeDisk   int   `json:"freeDisk,omitempty"`   // free-disk: percent of the disk that stays free, but at most 10 GiB; 5
}

// A layer that inflates more than any real one is a bomb. Zeros in gzip reach
// 1030:1, and images do hold files of zeros, so the first megabytes are free.
const (
	bombRatio = 1000
	bombFree  = 100 << 20
)

// MaxLayers bounds what one manifest makes us do; overlay itself stops at 500
// lower directories (fs/overlayfs/params.h, OVL_MAX_STACK).
const MaxLayers = 500

// MaxWindow bounds the memory that a zstd frame may ask for, in bytes; 128 MiB
// is what zstd --long makes by itself, and what it reads without a flag.
const MaxWindow = 128 << 20

func (l Limits) orDefaults() Limits {
	for value, standard := range map[*int64]int64{
		&l.LayerSize: 10 << 30, &l.ImageSize: 30 << 30, &l.Ratio: bombRatio, &l.ZstdWindow: MaxWindow,
	} {
		if *value <= 0 {
			*value = standard
		}
	}
	if l.Layers <= 0 || l.Layers > MaxLayers {
		l.Layers = MaxLayers
	}
	l.ZstdWindow = min(l.ZstdWindow, MaxWindow)
	return l
}

// LimitError says that an image goes beyond one of the Limits.
type LimitError struct {
	Key  string // in the configuration
	Text string // what it is beyond
}

// Error is what happened, and the limit's name.
func (e *LimitError) Error() string { return e.Text + " (limit " + e.Key + ")" }

// LimitKey is the limit's name, for whoever knows no more of the error.
func (e *LimitError) LimitKey() string { return e.Key }

func limitf(key, format string, args ...any) error {
	return &LimitError{key, fmt.Sprintf(format, args...)}
}

// check holds what a manifest says of its layers against the limits, before
// anything is fetched.
func (l Limits) check(layers []*layer) error {
	if len(layers) > l.Layers {
		return limitf("layers", "%d layers, more than %d", len(layers), l.Layers)
	}
	left := l.ImageSize
	for _, one := range layers {
		if one.blobSize > l.LayerSize {
			return limitf("layer-size", "layer %s has %d bytes, more than %d", short(one.BlobDigest), one.blobSize, l.LayerSize)
		}
		if left -= one.blobSize; left < 0 {
			return limitf("image-size", "its layers have more than %d bytes", l.ImageSize)
		}
	}
	return nil
}

// budget is what all the layers of an image may still unpack to.
type budget struct {
	left atomic.Int64
	of   int64
}

func newBudget(bytes int64) *budget {
	b := &budget{of: bytes}
	b.left.Store(bytes)
	return b
}

func (b *budget) take(n int) error {
	if b.left.Add(-int64(n)) < 0 {
		return limitf("image-size", "its layers unpack to more than %d bytes", b.of)
	}
	return nil
}
