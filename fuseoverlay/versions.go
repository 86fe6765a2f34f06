package fuseoverlay

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// Versions returns what the layers of an image have at path, the topmost first,
// where that is a regular file of at most so many bytes. It mounts nothing and
// follows no symlink: it is for those who want to know what there may be.
func (s *Store) Versions(img *Image, path string, most int64) ([]string, error) {
	layers, err := s.openChain(img.TopLayer)
	if err != nil {
		return nil, err
	}
	defer closeAll(layers)
	var versions []string
	for _, f := range duplicate(layers) {
		if text, ok := readRegular(f, path, most); ok {
			versions = append(versions, text)
		}
		f.Close()
	}
	return versions, nil
}

// readRegular reads a file of a layer, which could be a fifo or without an end.
func readRegular(layer *os.File, path string, most int64) (string, bool) {
	f, err := linux.OpenBeneath(layer, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return "", false
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	return string(text), err == nil
}
