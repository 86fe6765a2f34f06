package cli

import (
	"strings"
	"testing"
)

func TestStoredName(t *testing.T) {
	id := strings.Repeat("ab", 32)
	v := storeOf(t, emptyHome(t), map[string]string{id: "debian one", "cafe01": "cafe one"})
	for given, want := range map[string]string{
		"debian":          "docker.io/library/debian:latest",
		"missing":         "docker.io/library/missing:latest",
		"hello":           helloFullName,
		"ababab":          id,
		id:                id,
		"sha256:" + id:    id,
		"sha256:ab":       id,
		"cafe":            "docker.io/library/cafe:latest",
		"cafe0":           "cafe01",
		"feed":            "docker.io/library/feed:latest",
		"debian:ababab":   "docker.io/library/debian:ababab",
		"quay.io/a/abab":  "quay.io/a/abab:latest",
		"sha256":          "docker.io/library/sha256:latest",
		"sha256:1234":     "docker.io/library/sha256:1234",
		"localhost/hello": "localhost/hello:latest",
	} {
		if got, err := storedName(v, given); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", given, got, err, want)
		}
	}
	for _, given := range []string{"", "UPPER", strings.Repeat("cd", 32)} {
		if got, err := storedName(v, given); err == nil {
			t.Errorf("%q: %s", given, got)
		}
	}
}
