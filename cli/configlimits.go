package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/docker/go-units"

	"rootlet/fuseoverlay/unpack"
	"rootlet/pull"
)

// limitsTable holds the bounds on what an image may cost.
const limitsTable = "limits"

// limitKey is one of them.
type limitKey struct {
	help  string
	bytes *int64 // a number, or a size such as "10g"
	count *int64
	small *int
	most  int64 // 0: none
}

// limitKeys are the keys of [limits], each with where in l it goes.
func limitKeys(l *pull.Limits) map[string]limitKey {
	return map[string]limitKey{
		"layer-size":  {help: "of one layer, unpacked; 10 GiB", bytes: &l.LayerSize},
		"image-size":  {help: "of all layers that are fetched, unpacked; 30 GiB", bytes: &l.ImageSize},
		"layers":      {help: "of an image; 500", small: &l.Layers, most: pull.MaxLayers},
		"entries":     {help: "files and the like in a layer; 5 million", small: &l.Entries},
		"path-length": {help: "bytes of a name; 4095", small: &l.PathLength, most: unpack.MaxPath},
		"xattr-size":  {help: "bytes of the attributes of a file; 262144", small: &l.XattrSize},
		"ratio":       {help: "times its size that a layer may inflate to; 1000", count: &l.Ratio},
		"zstd-window": {help: "memory to decode a layer; 128 MiB", bytes: &l.ZstdWindow, most: pull.MaxWindow},
		"free-disk":   {help: "percent of the disk that stays free, but at most 10 GiB; 5", small: &l.FreeDisk, most: 99},
	}
}

// wants is the type, and what is too much, in the words of the file.
func (k limitKey) wants() string {
	switch {
	case k.bytes != nil && k.most > 0:
		return `bytes, or a size such as "10m", up to ` + strconv.FormatInt(k.most>>20, 10) + " MiB"
	case k.bytes != nil:
		return `bytes, or a size such as "10g"`
	case k.most > 0:
		return "a number from 1 to " + strconv.FormatInt(k.most, 10)
	}
	return "a number"
}

func (k limitKey) set(value any) error {
	n, ok := value.(int64)
	if text, is := value.(string); is && k.bytes != nil {
		size, err := units.RAMInBytes(text)
		n, ok = size, err == nil
	}
	if !ok || n <= 0 || k.most > 0 && n > k.most || k.small != nil && int64(int(n)) != n {
		if k.most == 0 {
			return fmt.Errorf("want %s above 0, not %s", k.wants(), shown(value))
		}
		return fmt.Errorf("want %s, not %s", k.wants(), shown(value))
	}
	switch {
	case k.bytes != nil:
		*k.bytes = n
	case k.count != nil:
		*k.count = n
	default:
		*k.small = int(n)
	}
	return nil
}

// checkLimits takes the limits over.
func (c *config) checkLimits(value any) error {
	table, ok := value.(map[string]any)
	if !ok {
		return c.wrong([]string{limitsTable}, "want a table, not %s", shown(value))
	}
	known := limitKeys(&c.Limits)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		k, ok := known[key]
		err := errors.New("unknown" + nearest(key, slices.Collect(maps.Keys(known))))
		if ok {
			err = k.set(table[key])
		}
		if err != nil {
			return c.wrong([]string{limitsTable, key}, "%v", err)
		}
	}
	return nil
}
