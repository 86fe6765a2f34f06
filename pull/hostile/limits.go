package hostile

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/registrytest"
)

// limits are what the user has set lower than the defaults, which a test could not
// reach in its time: 5 million entries, 30 GiB.
func limits() []Case {
	set := func(class int, key, value, words string, serve func(*Scene, string)) Case {
		return Case{
			Class: class, Name: "limit-" + key, What: key + " = " + value, Settings: "[limits]\n" + key + " = " + value + "\n",
			Serve: serve, Refused: words + `.*limit ` + key,
		}
	}
	large := func(s *Scene, name string) {
		s.Registry.Push(name, image(s, nil, registrytest.NewLayer(registrytest.Gzip, file("x", strings.Repeat("some text ", 300_000)))))
	}
	return []Case{
		set(26, "entries", "1000", "entries", members(manyLinks(1000)...)),
		set(26, "path-length", "100", "bytes of a name", members(file(strings.Repeat("d/", 60)+"f", ""))),
		set(27, "xattr-size", "1000", "bytes", members(attributed(file("x", ""), "user.big", strings.Repeat("v", 2000)))),
		set(28, "layer-size", `"2m"`, "", large),
		set(28, "image-size", `"2m"`, "", large),
		set(28, "zstd-window", `"8m"`, "", blob(types.OCILayerZStd, func() []byte {
			return append(zstdHeader(14), zstdRun()...) // 16 MiB
		}, nil)),
		set(30, "layers", "3", "5 layers", layers(4)),
	}
}
