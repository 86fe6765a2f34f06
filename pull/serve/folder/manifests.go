package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/pull/serve"
)

// Tag says what a tag stands for.
func (f *Folder) Tag(repository, tag string) (serve.Digest, error) {
	text, err := os.ReadFile(f.path(tagPath(repository, tag)))
	if err != nil {
		return "", there(err)
	}
	d, ok := serve.ParseDigest(string(text))
	if !ok {
		return "", &fs.PathError{Op: "read", Path: f.path(tagPath(repository, tag)), Err: errors.New("damaged")}
	}
	return d, nil
}

// Manifest reads a manifest or index.
func (f *Folder) Manifest(repository string, d serve.Digest) (serve.Manifest, error) {
	mediaType, err := os.ReadFile(f.path(mark(repository, "_manifests", d)))
	if err != nil {
		return serve.Manifest{}, there(err)
	}
	body, err := os.ReadFile(f.path(blobPath(d)))
	if err != nil {
		return serve.Manifest{}, there(err)
	}
	return serve.Manifest{Digest: d, MediaType: string(mediaType), Body: body}, nil
}

// PutManifest stores a manifest whose blobs and manifests are there.
func (f *Folder) PutManifest(repository string, m serve.Manifest, tags []string) error {
	release, err := f.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer release()
	var missing []serve.Digest
	for _, d := range m.Blobs {
		if !f.hasBlob(repository, d) {
			missing = append(missing, d)
		}
	}
	for _, d := range m.Manifests {
		if !f.has(mark(repository, "_manifests", d)) {
			missing = append(missing, d)
		}
	}
	if missing != nil {
		return &serve.MissingError{Digests: missing}
	}
	// Content first, then what speaks of it. A referrer counts only with its
	// manifest.
	if !f.has(blobPath(m.Digest)) {
		if err := f.put(blobPath(m.Digest), m.Body); err != nil {
			return err
		}
	}
	if m.Subject != "" {
		if err := f.put(referrerPath(repository, m.Subject, m.Digest), nil); err != nil {
			return err
		}
	}
	if err := f.put(mark(repository, "_manifests", m.Digest), []byte(m.MediaType)); err != nil {
		return err
	}
	for _, tag := range tags {
		if err := f.put(tagPath(repository, tag), []byte(m.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// RemoveTag takes a tag away, and leaves what it stood for.
func (f *Folder) RemoveTag(repository, tag string) error {
	return there(os.Remove(f.path(tagPath(repository, tag))))
}

// RemoveManifest takes a manifest out of a repository, its tags first.
func (f *Folder) RemoveManifest(repository string, d serve.Digest) error {
	release, err := f.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer release()
	m, err := f.Manifest(repository, d)
	if err != nil {
		return err
	}
	tags, err := f.Tags(repository)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if of, err := f.Tag(repository, tag); err == nil && of == d {
			if err := f.RemoveTag(repository, tag); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(f.path(mark(repository, "_manifests", d))); err != nil {
		return err
	}
	if parsed, err := serve.ParseManifest(m.Body, m.MediaType); err == nil && parsed.Subject != "" {
		if err := os.Remove(f.path(referrerPath(repository, parsed.Subject, d))); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return f.dropContent(d)
}

// Referrers lists the manifests about another, sorted.
func (f *Folder) Referrers(repository string, subject serve.Digest) ([]serve.Digest, error) {
	var found []serve.Digest
	names, err := f.names(mark(repository, "_referrers", subject))
	for _, name := range names {
		d, ok := serve.ParseDigest(strings.Replace(name, "-", ":", 1))
		if ok && f.has(mark(repository, "_manifests", d)) {
			found = append(found, d)
		}
	}
	slices.Sort(found)
	return found, err
}

// Tags lists a repository's tags.
func (f *Folder) Tags(repository string) ([]string, error) {
	if !f.isRepository(f.path("repositories", repository)) {
		return nil, serve.ErrNoRepository
	}
	return f.names(filepath.Join("repositories", repository, "_tags"))
}

// names lists a directory, which may be missing, in the order of bytes.
func (f *Folder) names(dir string) ([]string, error) {
	entries, err := os.ReadDir(f.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
