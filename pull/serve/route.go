package serve

import "strings"

// kind is what a path leads to.
type kind int

const (
	nowhere kind = iota
	toBase
	toCatalog
	toTags
	toManifest
	toBlob
	toUploads
	toUpload
	toReferrers
)

// route is a path below /v2/, taken apart. A repository's name may have any
// number of parts, among them "blobs" or "tags", so the end decides.
type route struct {
	kind      kind
	name      string
	reference string // tag, digest or upload
}

func findRoute(path string) route {
	rest, ok := strings.CutPrefix(path, "/v2")
	switch {
	case !ok:
		return route{}
	case rest == "" || rest == "/":
		return route{kind: toBase}
	case rest == "/_catalog":
		return route{kind: toCatalog}
	case rest[0] != '/':
		return route{}
	}
	rest = rest[1:]
	for _, end := range []string{"/blobs/uploads/", "/blobs/uploads"} {
		if name, ok := strings.CutSuffix(rest, end); ok {
			return route{kind: toUploads, name: name}
		}
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return route{kind: toTags, name: name}
	}
	head, reference, _ := cutLast(rest)
	for end, k := range map[string]kind{
		"/manifests": toManifest, "/blobs": toBlob, "/referrers": toReferrers, "/blobs/uploads": toUpload,
	} {
		if name, ok := strings.CutSuffix(head, end); ok && reference != "" {
			return route{k, name, reference}
		}
	}
	return route{}
}

// cutLast cuts at the last slash.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}
