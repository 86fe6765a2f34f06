package folder

import (
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull/serve"
)

// Source is a repository as pull.Source wants one.
type Source struct {
	Folder     *Folder
	Repository string
}

// Manifest reads what a tag or digest names.
func (s Source) Manifest(_ context.Context, identifier string) ([]byte, types.MediaType, error) {
	d, ok := serve.ParseDigest(identifier)
	if !ok {
		if !serve.ValidTag(identifier) {
			return nil, "", fmt.Errorf("%q is no tag", identifier)
		}
		var err error
		if d, err = s.Folder.Tag(s.Repository, identifier); err != nil {
			return nil, "", err
		}
	}
	m, err := s.Folder.Manifest(s.Repository, d)
	return m.Body, types.MediaType(m.MediaType), err
}

// Blob opens a blob at an offset.
func (s Source) Blob(_ context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	d, ok := serve.ParseDigest(digest)
	if !ok {
		return nil, fmt.Errorf("%q is no digest", digest)
	}
	content, err := s.Folder.Blob(s.Repository, d)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	end, err := content.Seek(0, io.SeekEnd)
	if err == nil && end != size {
		err = fmt.Errorf("blob %s has %d bytes, its manifest says %d", digest, end, size)
	}
	if err == nil {
		_, err = content.Seek(offset, io.SeekStart)
	}
	if err != nil {
		content.Close()
		return nil, err
	}
	return content, nil
}

// Close has nothing to close.
func (Source) Close() error { return nil }
