package serve

import (
	"encoding/json"
	"errors"
	"net/url"
)

// referrer is a descriptor in the list of referrers.
type referrer struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int               `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// maxReferrers is what a page of referrers may have: the annotations are the
// pushers', and a client reads no more of it than of a manifest.
const maxReferrers = MaxManifest - 4096

// referrers lists the manifests that are about another ("Listing Referrers").
// That there is nothing of the kind is an empty list.
func (s *registry) referrers(r *request) error {
	subject, err := r.digest()
	if err != nil {
		return err
	}
	all, err := s.storage.Referrers(r.name, subject)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	wanted, after := query.Get("artifactType"), query.Get("last")
	if wanted != "" {
		r.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	found, size := []referrer{}, 0
	for _, d := range all {
		if string(d) <= after {
			continue
		}
		entry, err := s.referrer(r.name, d)
		if errors.Is(err, ErrNotThere) || err == nil && wanted != "" && entry.ArtifactType != wanted {
			continue
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		if size += len(text) + 1; size > maxReferrers && len(found) > 0 {
			next := url.Values{"last": {string(found[len(found)-1].Digest)}}
			if wanted != "" {
				next.Set("artifactType", wanted)
			}
			r.linkNext(next)
			break
		}
		found = append(found, entry)
	}
	r.w.Header().Set("Content-Type", ociIndex)
	return r.sendJSON(struct {
		SchemaVersion int        `json:"schemaVersion"`
		MediaType     string     `json:"mediaType"`
		Manifests     []referrer `json:"manifests"`
	}{2, ociIndex, found})
}

func (s *registry) referrer(repository string, d Digest) (referrer, error) {
	stored, err := s.storage.Manifest(repository, d)
	if err != nil {
		return referrer{}, err
	}
	m, err := ParseManifest(stored.Body, stored.MediaType)
	return referrer{
		MediaType: stored.MediaType, Digest: d, Size: len(stored.Body), ArtifactType: m.artifactType, Annotations: m.annotations,
	}, err
}
