package serve

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

func manifestUnknown(reference string) *fault {
	return faultf(http.StatusNotFound, codeManifestUnknown, "no manifest %q in this repository", reference)
}

// manifest answers GET and HEAD.
func (s *registry) manifest(r *request) error {
	m, err := s.find(r)
	if err != nil {
		return keepCause(err, manifestUnknown(r.reference))
	}
	r.w.Header().Set("Content-Type", m.MediaType)
	r.sendContent(m.Digest, bytes.NewReader(m.Body))
	return nil
}

// find looks a manifest up by its digest, or by a tag in a form that the client
// takes. What a digest names has one form only.
func (s *registry) find(r *request) (Manifest, error) {
	if strings.Contains(r.reference, ":") {
		d, err := r.digest()
		if err != nil {
			return Manifest{}, err
		}
		return s.storage.Manifest(r.name, d)
	}
	if !ValidTag(r.reference) {
		return Manifest{}, ErrNotThere
	}
	d, err := s.storage.Tag(r.name, r.reference)
	if err != nil {
		return Manifest{}, err
	}
	m, err := s.storage.Manifest(r.name, d)
	if err == nil && !accepts(r.Header.Values("Accept"), m.MediaType) {
		return m, faultf(http.StatusNotFound, codeManifestUnknown, "%s is a %s, which the request's Accept does not have", r.reference, m.MediaType)
	}
	return m, err
}

// accepts reports whether a client that sent these Accept headers takes a media
// type. Who says nothing takes anything (RFC 9110, 12.5.1).
func accepts(headers []string, mediaType string) bool {
	named := false
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			t, _, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			named = true
			if t == mediaType || t == "*/*" || t == "application/*" {
				return true
			}
		}
	}
	return !named
}

// maxTags bounds what one request writes.
const maxTags = 50

// putManifest stores a manifest under a tag, or under its digest with any number
// of tags in the query.
func (s *registry) putManifest(r *request) error {
	body, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, MaxManifest))
	if err != nil {
		return err
	}
	m, err := ParseManifest(body, r.Header.Get("Content-Type"))
	if err != nil {
		return faultf(http.StatusBadRequest, codeManifestInvalid, "%v", err)
	}
	tags := r.URL.Query()["tag"]
	if strings.Contains(r.reference, ":") {
		want, err := r.digest()
		if err != nil {
			return err
		}
		if m.Digest = want.Of(body); m.Digest != want {
			return faultf(http.StatusBadRequest, codeDigestInvalid, "the manifest's digest is %s", m.Digest)
		}
	} else {
		tags = []string{r.reference}
	}
	if len(tags) > maxTags {
		return faultf(http.StatusRequestURITooLong, codeManifestInvalid, "%d tags at once, where %d is the most", len(tags), maxTags)
	}
	for _, tag := range tags {
		if !ValidTag(tag) {
			return faultf(http.StatusBadRequest, codeManifestInvalid, "%q is no tag", tag)
		}
	}
	if err := s.storage.PutManifest(r.name, m, tags); err != nil {
		return err
	}
	h := r.w.Header()
	if m.Subject != "" {
		h.Set("OCI-Subject", string(m.Subject))
	}
	if strings.Contains(r.reference, ":") && len(tags) > 0 {
		h.Set("OCI-Tag", strings.Join(tags, ", "))
	}
	h.Set("Location", fmt.Sprintf("/v2/%s/manifests/%s", r.name, m.Digest))
	h.Set("Docker-Content-Digest", string(m.Digest))
	h.Set("Content-Length", "0")
	r.w.WriteHeader(http.StatusCreated)
	return nil
}

// removeManifest takes away a tag, or a manifest with all its tags.
func (s *registry) removeManifest(r *request) error {
	var err error
	switch {
	case strings.Contains(r.reference, ":"):
		var d Digest
		if d, err = r.digest(); err == nil {
			err = s.storage.RemoveManifest(r.name, d)
		}
	case ValidTag(r.reference):
		err = s.storage.RemoveTag(r.name, r.reference)
	default:
		err = ErrNotThere
	}
	if err != nil {
		return keepCause(err, manifestUnknown(r.reference))
	}
	r.w.WriteHeader(http.StatusAccepted)
	return nil
}
