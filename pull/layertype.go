package pull

import "github.com/google/go-containerregistry/pkg/v1/types"

// LayerType is the media type of a layer of which nothing is known but its first
// bytes, of which four are enough.
func LayerType(head []byte) types.MediaType {
	switch sniff(head) {
	case formatGzip:
		return types.OCILayer
	case formatZstd:
		return types.OCILayerZStd
	}
	return types.OCIUncompressedLayer
}
