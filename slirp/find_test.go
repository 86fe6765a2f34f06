package slirp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// executable makes a program of that name and text, and returns its path.
func executable(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), Slirp4netns)
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFind(t *testing.T) {
	good := executable(t, "#!/bin/sh\n")
	other := executable(t, "#!/bin/sh\n")
	plainFile := filepath.Join(t.TempDir(), Slirp4netns)
	if err := os.WriteFile(plainFile, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dirNamed := t.TempDir()
	if err := os.Mkdir(filepath.Join(dirNamed, Slirp4netns), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir
	for name, c := range map[string]struct {
		fixed []string
		path  string
		want  string
	}{
		"fixed before PATH":  {[]string{dir(good)}, dir(other), good},
		"PATH":               {nil, "/nonexistent:" + dir(good) + ":" + dir(other), good},
		"not executable":     {[]string{dir(plainFile)}, dir(good), good},
		"a directory":        {[]string{dirNamed}, dir(good), good},
		"relative and empty": {nil, ".::bin", ""},
		"nothing":            {nil, "", ""},
	} {
		got, err := find(Slirp4netns, c.fixed, c.path)
		if got != c.want || (err != nil) != (c.want == "") || (err != nil && !errors.As(err, new(*NotInstalledError))) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestFindIgnoresRelativePath(t *testing.T) {
	t.Chdir(filepath.Dir(executable(t, "#!/bin/sh\n")))
	if got, err := find(Slirp4netns, nil, "."); err == nil {
		t.Errorf("found %q", got)
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"slirp4netns version 1.2.0\ncommit: 656041d\nlibslirp: 4.7.0\n": "1.2.0 (libslirp 4.7.0)",
		"slirp4netns version 0.3.0+dev\n":                               "0.3.0+dev",
		"slirp4netns version 1\x1b[31m\n":                               "",
		"pasta unknown version\nCopyright Red Hat\n":                    "unknown version",
		"pasta 0.0~git20240726-1\nCopyright Red Hat\n":                  "0.0~git20240726-1",
		"something else\n":                                              "",
		"":                                                              "",
	} {
		program := Slirp4netns
		if strings.HasPrefix(text, Pasta) {
			program = Pasta
		}
		got, err := parseVersion(program, []byte(text))
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}
