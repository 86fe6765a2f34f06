package pull

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Acceptable says which images are for the platform that a user named: those of
// this operating system and architecture, and one of these variants.
func Acceptable(platform string) (os, arch string, variant []string, err error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return "", "", nil, err
	}
	return want.OS, want.Architecture, variants(want), nil
}

// The words that may stand alone (containerd/platforms, database.go).
const (
	systems = "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos"

	architectures = "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le " +
		"ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm"
)

// parsePlatform reads os[/arch[/variant]], or one of the two alone, as
// containerd does; empty means this machine.
func parsePlatform(s string) (v1.Platform, error) {
	p := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	parts := strings.Split(strings.ToLower(s), "/")
	switch {
	case s == "":
	case len(parts) == 1:
		return parseWord(parts[0], p)
	case len(parts) <= 3 && !slices.Contains(parts, ""):
		p.OS, p.Architecture = parts[0], parts[1]
		if len(parts) == 3 {
			p.Variant = parts[2]
		}
	default:
		return p, fmt.Errorf("platform %q: want os/arch or os/arch/variant", s)
	}
	return usual(p), nil
}

// parseWord reads an operating system or an architecture; the other is p's.
func parseWord(word string, p v1.Platform) (v1.Platform, error) {
	if word == "macos" {
		word = "darwin"
	}
	if slices.Contains(strings.Fields(systems), word) {
		p.OS = word
		return p, nil
	}
	p.Architecture = word
	if p = usual(p); !slices.Contains(strings.Fields(architectures), p.Architecture) {
		return p, fmt.Errorf("platform %q: no operating system or architecture that is known: want os/arch or os/arch/variant, as linux/arm64", word)
	}
	return p, nil
}

// usual replaces the names that uname and Debian use by those of Go, and the
// default variant by none.
func usual(p v1.Platform) v1.Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386", "i686":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	switch p.Architecture + "/" + p.Variant {
	case "amd64/v1", "arm64/8", "arm64/v8", "arm/v7", "arm/7":
		p.Variant = ""
	}
	return p
}

// variants lists what runs where want runs, best first. Without a variant an
// arm image is v7 and an amd64 one v1 (containerd's normalisation).
func variants(want v1.Platform) []string {
	order := map[string][]string{
		"amd64": {"v4", "v3", "v2", ""},
		"arm":   {"v8", "", "v6", "v5"},
	}[want.Architecture]
	at := slices.Index(order, want.Variant)
	if at < 0 {
		return []string{want.Variant, ""}
	}
	return order[at:]
}

// choose picks the entry of an index that suits want best.
func choose(index *v1.IndexManifest, want v1.Platform) (v1.Descriptor, error) {
	if len(index.Manifests) == 1 && index.Manifests[0].Platform == nil {
		return index.Manifests[0], nil
	}
	for _, variant := range variants(want) {
		for _, d := range index.Manifests {
			if d.Platform == nil {
				continue
			}
			have := usual(*d.Platform)
			if have.OS == want.OS && have.Architecture == want.Architecture && have.Variant == variant {
				return d, nil
			}
		}
	}
	return v1.Descriptor{}, faultf(NoPlatform, "no image for %s; there is %s", want, offered(index))
}

// offered lists the platforms of an index, at most ten. "unknown" marks
// BuildKit's attestations, which are no images.
func offered(index *v1.IndexManifest) string {
	var names []string
	for _, d := range index.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" {
			continue
		}
		if name := d.Platform.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return "none that says its platform"
	case len(names) > 10:
		names = append(names[:10], "and more")
	}
	return strings.Join(names, ", ")
}
