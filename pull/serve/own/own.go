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
