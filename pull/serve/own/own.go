// Package own serves a user's images as a registry: each under its names (see
// [Paths]), with the very bytes that it was pulled with. It only reads them. What
// is pushed goes to a folder, which counts before the images, and is told to the
// caller, who may make images of it.
//
// What was pushed can be deleted, and is then not seen among the images either,
// where it may have become one; what is only an image is not for a registry's
// clients to remove.
package own

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"

	"rootlet/pull/serve"
	"rootlet/pull/serve/folder"
)

// Images are the user's.
type Images interface {
	// Names lists the images: their ids, each with its full names.
	Names() (map[string][]string, error)

	// Image reads the manifest and config of an image by its id.
	Image(id string) (manifest, config []byte, err error)

	// Blob opens a layer's blob; serve.ErrNotThere where its bytes are not kept.
	Blob(digest string) (io.ReadSeekCloser, error)
}

// Storage is a serve.Storage of a folder and images.
type Storage struct {
	*folder.Folder
	Images Images

	// Pushed hears of each tag that was pushed, before the client is answered.
	Pushed func(repository, tag string, d serve.Digest)
}

var notOurs = &serve.ReadOnly{Why: "this is an image of the user's; `rootlet rmi` removes it"}

// image is one of the user's as it is seen in a repository.
type image struct {
	serve.Manifest
	tags   []string
	config []byte
}

// in lists the images that a repository has.
func (s *Storage) in(repository string) ([]image, error) {
	all, err := s.Images.Names()
	if err != nil {
		return nil, err
	}
	var found []image
	for _, id := range slices.Sorted(maps.Keys(all)) {
		tags := tagsIn(repository, all[id])
		if len(tags) == 0 {
			continue
		}
		body, config, err := s.Images.Image(id)
		if errors.Is(err, serve.ErrNotThere) {
			continue // removed as we read
		}
		if err != nil {
			return nil, err
		}
		m, err := serve.ParseManifest(body, "")
		if err != nil || s.Hidden(repository, m.Digest) {
			continue // one that only rootlet can read, as its own hello
		}
		found = append(found, image{m, tags, config})
	}
	return found, nil
}

func tagsIn(repository string, names []string) []string {
	var tags []string
	for _, name := range names {
		if paths, tag := Paths(name); slices.Contains(paths, repository) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// Repositories lists both.
func (s *Storage) Repositories() ([]string, error) {
	found, err := s.Folder.Repositories()
	if err != nil {
		return nil, err
	}
	all, err := s.Images.Names()
	for _, names := range all {
		for _, name := range names {
			if paths, _ := Paths(name); len(paths) > 0 {
				found = append(found, paths[0])
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), err
}

// Tags lists both.
func (s *Storage) Tags(repository string) ([]string, error) {
	tags, missing := s.Folder.Tags(repository)
	if missing != nil && !errors.Is(missing, serve.ErrNoRepository) {
		return nil, missing
	}
	images, err := s.in(repository)
	if err != nil {
		return nil, err
	}
	if len(images) == 0 && missing != nil {
		return nil, missing
	}
	for _, i := range images {
		for _, tag := range i.tags {
			if !s.HiddenTag(repository, tag, i.Digest) {
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// Tag asks the folder first: what was pushed last is what a tag stands for.
func (s *Storage) Tag(repository, tag string) (serve.Digest, error) {
	d, err := s.Folder.Tag(repository, tag)
	if !errors.Is(err, serve.ErrNotThere) {
		return d, err
	}
	images, err := s.in(repository)
	if err != nil {
		return "", err
	}
	for _, i := range images {
		if slices.Contains(i.tags, tag) && !s.HiddenTag(repository, tag, i.Digest) {
			return i.Digest, nil
		}
	}
	return "", serve.ErrNotThere
}

// Manifest finds a manifest in either.
func (s *Storage) Manifest(repository string, d serve.Digest) (serve.Manifest, error) {
	m, err := s.Folder.Manifest(repository, d)
	if !errors.Is(err, serve.ErrNotThere) {
		return m, err
	}
	images, err := s.in(repository)
	if err != nil {
		return serve.Manifest{}, err
	}
	for _, i := range images {
		if i.Digest == d {
			return i.Manifest, nil
		}
	}
	return serve.Manifest{}, serve.ErrNotThere
}

// Blob finds a blob in either.
func (s *Storage) Blob(repository string, d serve.Digest) (io.ReadSeekCloser, error) {
	content, err := s.Folder.Blob(repository, d)
	if !errors.Is(err, serve.ErrNotThere) {
		return content, err
	}
	return s.blobOfImage(repository, d)
}

func (s *Storage) blobOfImage(repository string, d serve.Digest) (io.ReadSeekCloser, error) {
	if s.Hidden(repository, d) {
		return nil, serve.ErrNotThere
	}
	images, err := s.in(repository)
	if err != nil {
		return nil, err
	}
	for _, i := range images {
		if !slices.Contains(i.Blobs, d) {
			continue
		}
		if d.Of(i.config) == d {
			return inMemory{bytes.NewReader(i.config)}, nil
		}
		return s.layer(d, i.Size(d))
	}
	return nil, serve.ErrNotThere
}

// layer opens a blob that is of its size: one that a power cut has damaged must
// not look like the registry's.
func (s *Storage) layer(d serve.Digest, size int64) (io.ReadSeekCloser, error) {
	content, err := s.Images.Blob(string(d))
	if errors.Is(err, serve.ErrNotThere) {
		return nil, serve.ErrNotKept
	}
	if err != nil {
		return nil, err
	}
	end, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err == nil && end != size {
		err = serve.ErrNotKept
	}
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return content, nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// Mount mounts from the folder, or takes a blob of an image's over into it.
func (s *Storage) Mount(repository, from string, d serve.Digest) (bool, error) {
	if done, err := s.Folder.Mount(repository, from, d); done || err != nil || from == "" {
		return done, err
	}
	return s.takeOver(repository, from, d)
}

// takeOver copies a blob of an image's to the folder: the image may go, what was
// pushed has to stay whole.
func (s *Storage) takeOver(repository, from string, d serve.Digest) (bool, error) {
	content, err := s.blobOfImage(from, d)
	if errors.Is(err, serve.ErrNotThere) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer content.Close()
	return true, s.Adopt(repository, d, content)
}

// PutManifest takes over what images have of what the manifest needs.
func (s *Storage) PutManifest(repository string, m serve.Manifest, tags []string) error {
	err := s.Folder.PutManifest(repository, m, tags)
	var missing *serve.MissingError
	if errors.As(err, &missing) {
		for _, d := range missing.Digests {
			if err := s.supply(repository, d); err != nil {
				return err
			}
		}
		err = s.Folder.PutManifest(repository, m, tags)
	}
	if err == nil && s.Pushed != nil {
		for _, tag := range tags {
			s.Pushed(repository, tag, m.Digest)
		}
	}
	return err
}

// supply takes a blob or a manifest over, if an image of the repository has it.
func (s *Storage) supply(repository string, d serve.Digest) error {
	if there, err := s.takeOver(repository, repository, d); there || err != nil {
		return err
	}
	m, err := s.Manifest(repository, d)
	if errors.Is(err, serve.ErrNotThere) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, blob := range m.Blobs {
		if _, err := s.takeOver(repository, repository, blob); err != nil {
			return err
		}
	}
	return s.Folder.PutManifest(repository, m, nil)
}

// RemoveTag removes a tag that was pushed.
func (s *Storage) RemoveTag(repository, tag string) error {
	d, err := s.Tag(repository, tag)
	if err != nil {
		return err
	}
	if err := s.Folder.RemoveTag(repository, tag); err != nil {
		return ours(err)
	}
	// It may stand for the same image that it was pushed as, or for an older one.
	if under, err := s.Tag(repository, tag); err == nil {
		d = under
	}
	return s.HideTag(repository, tag, d)
}

// RemoveManifest removes a manifest that was pushed.
func (s *Storage) RemoveManifest(repository string, d serve.Digest) error {
	if _, err := s.Manifest(repository, d); err != nil {
		return err
	}
	if err := s.Folder.RemoveManifest(repository, d); err != nil {
		return ours(err)
	}
	return s.Hide(repository, d)
}

// RemoveBlob removes a blob that was pushed.
func (s *Storage) RemoveBlob(repository string, d serve.Digest) error {
	content, err := s.Blob(repository, d)
	if err != nil {
		return err
	}
	content.Close()
	if err := s.Folder.RemoveBlob(repository, d); err != nil {
		return ours(err)
	}
	return s.Hide(repository, d)
}

// ours says why something that is there is not in the folder.
func ours(err error) error {
	if errors.Is(err, serve.ErrNotThere) {
		return notOurs
	}
	return err
}
