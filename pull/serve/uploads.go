package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// begin answers the POST that begins an upload, or is all of it, or mounts a
// blob of another repository.
func (s *registry) begin(r *request) error {
	query := r.URL.Query()
	if mount := query.Get("mount"); mount != "" {
		if done, err := s.mount(r, mount, query.Get("from")); done || err != nil {
			return err
		}
	}
	var want Digest
	if given := query.Get("digest"); given != "" && r.ContentLength != 0 {
		var ok bool
		if want, ok = ParseDigest(given); !ok {
			return faultf(http.StatusBadRequest, codeDigestInvalid, "%q is no sha256 or sha512 digest", given)
		}
	}
	u, err := s.storage.Begin(r.name)
	if err != nil {
		return err
	}
	defer u.Close()
	if want == "" {
		// "Pushing a blob in chunks" and "POST then PUT": the content comes later.
		return r.sendProgress(u, http.StatusAccepted)
	}
	err = u.Append(r.Body)
	if err == nil {
		err = u.Commit(want)
	}
	if err != nil {
		return errors.Join(err, u.Cancel())
	}
	return r.sendCreated(want)
}

// mount tries to do without an upload. That the blob is not there is no error:
// the client sends it then ("Mounting a blob from another repository").
func (s *registry) mount(r *request, given, from string) (done bool, err error) {
	d, ok := ParseDigest(given)
	if !ok {
		return false, faultf(http.StatusBadRequest, codeDigestInvalid, "%q is no sha256 or sha512 digest", given)
	}
	if from != "" && !ValidName(from) {
		return false, nil
	}
	there, err := s.storage.Mount(r.name, from, d)
	if err != nil || !there {
		return false, err
	}
	return true, r.sendCreated(d)
}

// open finds the upload that the request is about.
func (s *registry) open(r *request) (Upload, error) {
	u, err := s.storage.Upload(r.name, r.reference)
	if err != nil {
		return nil, keepCause(err, faultf(http.StatusNotFound, codeUploadUnknown, "no upload %q in this repository", r.reference))
	}
	return u, nil
}

func (s *registry) uploadStatus(r *request) error {
	u, err := s.open(r)
	if err != nil {
		return err
	}
	defer u.Close()
	return r.sendProgress(u, http.StatusNoContent)
}

// appendChunk answers PATCH: a chunk, or with no Content-Range a stream.
func (s *registry) appendChunk(r *request) error {
	u, err := s.open(r)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := r.take(u); err != nil {
		return err
	}
	return r.sendProgress(u, http.StatusAccepted)
}

// finish answers PUT: the last chunk, or all, or none, and the digest.
func (s *registry) finish(r *request) error {
	given := r.URL.Query().Get("digest")
	want, ok := ParseDigest(given)
	if !ok {
		return faultf(http.StatusBadRequest, codeDigestInvalid, "%q is no sha256 or sha512 digest", given)
	}
	u, err := s.open(r)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := r.take(u); err != nil {
		return err
	}
	if err := u.Commit(want); err != nil {
		return err
	}
	return r.sendCreated(want)
}

func (s *registry) cancel(r *request) error {
	u, err := s.open(r)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := u.Cancel(); err != nil {
		return err
	}
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

// take appends the request's body, which has to be what its Content-Range says
// and to begin where the upload ends.
func (r *request) take(u Upload) error {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return u.Append(r.Body)
	}
	c, ok := parseContentRange(header)
	if !ok {
		return faultf(http.StatusBadRequest, codeUploadInvalid, "Content-Range %q is not of the form FIRST-LAST", header)
	}
	if c.first != u.Size() {
		r.progress(u)
		return faultf(http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid, "the chunk begins at %d, and %d is next", c.first, u.Size())
	}
	if r.ContentLength >= 0 && r.ContentLength != c.length() {
		return faultf(http.StatusBadRequest, codeSizeInvalid, "the chunk has %d bytes, its Content-Range %d", r.ContentLength, c.length())
	}
	if err := u.Append(io.LimitReader(r.Body, c.length())); err != nil {
		return err
	}
	more, _ := r.Body.Read(make([]byte, 1))
	if more > 0 || u.Size() != c.last+1 {
		r.progress(u)
		return faultf(http.StatusBadRequest, codeSizeInvalid, "the chunk is not of the length that its Content-Range says")
	}
	return nil
}

// progress says how far an upload is, and where it goes on.
func (r *request) progress(u Upload) {
	h := r.w.Header()
	h.Set("Location", (&url.URL{Path: fmt.Sprintf("/v2/%s/blobs/uploads/%s", r.name, u.ID())}).String())
	// The end belongs to the range, so that nothing cannot be said: Docker's
	// registry says 0-0 then, as for one byte, and clients know it.
	h.Set("Range", fmt.Sprintf("0-%d", max(u.Size()-1, 0)))
	h.Set("Docker-Upload-Uuid", u.ID())
}

func (r *request) sendProgress(u Upload, status int) error {
	r.progress(u)
	if status != http.StatusNoContent {
		r.w.Header().Set("Content-Length", "0")
	}
	r.w.WriteHeader(status)
	return nil
}

func (r *request) sendCreated(d Digest) error {
	h := r.w.Header()
	h.Set("Location", fmt.Sprintf("/v2/%s/blobs/%s", r.name, d))
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Content-Length", "0")
	r.w.WriteHeader(http.StatusCreated)
	return nil
}
