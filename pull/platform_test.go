package pull

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestAcceptable(t *testing.T) {
	for platform, want := range map[string]struct {
		os, arch string
		variants []string
	}{
		"linux/arm64":  {"linux", "arm64", []string{"", ""}},
		"aarch64":      {"linux", "arm64", []string{"", ""}},
		"linux/arm/v6": {"linux", "arm", []string{"v6", "v5"}},
	} {
		os, arch, variants, err := Acceptable(platform)
		if err != nil || os != want.os || arch != want.arch || !slices.Equal(variants, want.variants) {
			t.Errorf("%s: %s/%s/%q, %v", platform, os, arch, variants, err)
		}
	}
	for _, bad := range []string{"nonsense/", "bogus", "linux/", "v7"} {
		if _, _, _, err := Acceptable(bad); err == nil || !strings.Contains(err.Error(), "want os/arch") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A word alone is an operating system where one has that name.
func TestOneWord(t *testing.T) {
	for word, want := range map[string]string{
		"linux": "linux/" + runtime.GOARCH, "windows": "windows/" + runtime.GOARCH, "FreeBSD": "freebsd/" + runtime.GOARCH,
		"macos": "darwin/" + runtime.GOARCH, "riscv64": "linux/riscv64", "x86_64": "linux/amd64", "armhf": "linux/arm",
	} {
		os, arch, _, err := Acceptable(word)
		if err != nil || os+"/"+arch != want {
			t.Errorf("%s: %s/%s, %v, not %s", word, os, arch, err, want)
		}
	}
}
