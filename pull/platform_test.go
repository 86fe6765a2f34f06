package pull

import (
	"slices"
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
	if _, _, _, err := Acceptable("nonsense/"); err == nil {
		t.Error("nonsense/ is a platform")
	}
}
