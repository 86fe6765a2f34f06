package transport

import (
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Layers are the digests of a manifest's layers, each once.
func Layers(manifest []byte) ([]string, error) {
	m := v1.Manifest{}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var digests []string
	for _, l := range m.Layers {
		if d := l.Digest.String(); !slices.Contains(digests, d) {
			digests = append(digests, d)
		}
	}
	return digests, nil
}
