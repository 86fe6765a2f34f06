package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// blob answers GET and HEAD, with Range and If-None-Match.
func (s *registry) blob(r *request) error {
	d, err := r.digest()
	if err != nil {
		return err
	}
	content, err := s.storage.Blob(r.name, d)
	if err != nil {
		return explainBlob(err, d)
	}
	defer content.Close()
	r.w.Header().Set("Content-Type", "application/octet-stream")
	r.sendContent(d, content)
	return nil
}

// digest is the reference where it has to be one.
func (r *request) digest() (Digest, error) {
	d, ok := ParseDigest(r.reference)
	if !ok {
		return "", faultf(http.StatusBadRequest, codeDigestInvalid, "%q is no sha256 or sha512 digest", r.reference)
	}
	return d, nil
}

func explainBlob(err error, d Digest) error {
	return keepCause(err, faultf(http.StatusNotFound, codeBlobUnknown, "no blob %s in this repository", d))
}

// keepCause says what ErrNotThere means here and leaves other errors as they
// are.
func keepCause(err error, missing *fault) error {
	if f := explain(err, missing); f.status != http.StatusInternalServerError {
		return f
	}
	return err
}

// sendContent sends what a digest names, which never changes.
func (r *request) sendContent(d Digest, content io.ReadSeeker) {
	h := r.w.Header()
	h.Set("Docker-Content-Digest", string(d))
	h.Set("ETag", `"`+string(d)+`"`)
	http.ServeContent(r.w, r.Request, "", time.Time{}, content)
}

// sendJSON sends an answer that is made for the request.
func (r *request) sendJSON(v any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	h := r.w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = r.w.Write(body.Bytes()) // a client that is gone hears nothing anyway
	return nil
}

func (s *registry) removeBlob(r *request) error {
	d, err := r.digest()
	if err != nil {
		return err
	}
	if err := s.storage.RemoveBlob(r.name, d); err != nil {
		return explainBlob(err, d)
	}
	r.w.WriteHeader(http.StatusAccepted)
	return nil
}
