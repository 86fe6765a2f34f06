package folder

import (
	"os"
	"path/filepath"

	"rootlet/pull/serve"
)

// Hide notes that a repository no longer has a digest that another storage may
// still have for it; HideTag, that it has not under a tag. They stand beside the
// rest, in _hidden.
func (f *Folder) Hide(repository string, d serve.Digest) error {
	return f.put(mark(repository, "_hidden", d), nil)
}

// Hidden reports whether Hide was called.
func (f *Folder) Hidden(repository string, d serve.Digest) bool {
	return f.has(mark(repository, "_hidden", d))
}

// HideTag is Hide for what a tag stands for now; when it stands for something
// else, that is seen.
func (f *Folder) HideTag(repository, tag string, d serve.Digest) error {
	return f.put(hiddenTag(repository, tag), []byte(d))
}

// HiddenTag reports whether HideTag was called.
func (f *Folder) HiddenTag(repository, tag string, d serve.Digest) bool {
	text, err := os.ReadFile(f.path(hiddenTag(repository, tag)))
	return err == nil && string(text) == string(d)
}

func hiddenTag(repository, tag string) string {
	return filepath.Join("repositories", repository, "_hidden", "tags", tag)
}
