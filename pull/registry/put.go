package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PutManifest stores a manifest under a tag or its digest. All that it names is
// there already.
func (c *Client) PutManifest(ctx context.Context, identifier string, body []byte, mediaType types.MediaType) error {
	again := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	first, _ := again()
	resp, err := c.do(patient(ctx, commitPatience), &http.Request{
		Method: http.MethodPut, URL: c.path("manifests/" + identifier),
		Header: http.Header{"Content-Type": {string(mediaType)}},
		Body:   first, GetBody: again, ContentLength: int64(len(body)),
	}, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	// A registry that rewrites what it is given has another image now.
	if got, want := resp.Header.Get("Docker-Content-Digest"), digestOf(body); got != "" && got != want {
		return fmt.Errorf("registry %s: stored the manifest as %s, not %s", c.config.Host, limit(got, 100), want)
	}
	return nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
