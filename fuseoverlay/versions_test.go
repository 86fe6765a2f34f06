package fuseoverlay

import (
	"slices"
	"testing"
)

func TestVersions(t *testing.T) {
	s := openStore(t, "")
	img := putImage(t, s, "example.com/a:latest",
		layer(t, dir("etc", 0o755), file("etc/passwd", "first")),
		layer(t, dir("etc", 0o755), symlink("etc/passwd", "shadow"), file("etc/shadow", "secret")),
		layer(t, dir("etc", 0o755), file("etc/passwd", "last")),
		layer(t, dir("etc", 0o755), file("etc/group", "none")))
	for path, want := range map[string][]string{
		"etc/passwd": {"last", "first"}, "/etc/group": {"none"}, "etc": nil, "missing": nil,
	} {
		if got, err := s.Versions(img, path, 5); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if got, err := s.Versions(img, "etc/passwd", 4); err != nil || !slices.Equal(got, []string{"last"}) {
		t.Errorf("at most four bytes: %q, %v", got, err)
	}
}
