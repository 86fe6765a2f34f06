package own

import (
	"errors"

	"rootlet/pull/serve"
)

var notOurs = &serve.ReadOnly{Why: "this is an image of the user's; `rootlet rmi` removes it"}

// Mount mounts from the folder, or takes a blob of an image's over into it.
func (s *Storage) Mount(repository, from string, d serve.Digest) (bool, error) {
	if done, err := s.Folder.Mount(repository, from, d); done || err != nil || from == "" {
		return done, err
	}
	return s.takeOver(repository, from, d)
}

// takeOver brings a blob of an image's into the folder: the image may go, what was
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
	err = s.Adopt(repository, d, content)
	if errors.Is(err, serve.ErrDigest) {
		return false, nil // damaged, and as good as not there
	}
	return err == nil, err
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
