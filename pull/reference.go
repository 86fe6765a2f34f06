package pull

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/pull/grammar"
)

const (
	defaultHost = "docker.io"
	legacyHost  = "index.docker.io" // what Docker called it before 2016
	defaultTag  = "latest"
	officials   = "library/"
	maxPath     = 255 // RepositoryNameTotalLengthMax of distribution/reference
)

// Reference names an image in a registry. Its zero value names nothing; it is
// made by [ParseReference].
type Reference struct {
	host   string
	path   string
	tag    string // empty where digest is set
	digest string
}

// ParseReference reads a reference by Docker's rules (distribution/reference):
// the part before the first slash is a host if it holds a dot, a colon or a
// capital letter or is "localhost", and docker.io otherwise; names without a
// slash on docker.io lie in library/; the tag is latest unless given; where a
// digest is given it alone counts. Errors quote s.
func ParseReference(s string) (Reference, error) {
	r, err := parseReference(s)
	if err != nil {
		return Reference{}, fmt.Errorf("image reference %q: %w", s, err)
	}
	return r, nil
}

// IsShort reports whether a reference names no registry, so that Docker's rule
// gives it docker.io.
func IsShort(s string) bool {
	name, _, _ := strings.Cut(s, "@")
	first, _, slash := strings.Cut(name, "/")
	host, _ := splitHost(name)
	return !slash || host == defaultHost && first != defaultHost && first != legacyHost
}

// Registry is the host, with its port if one was given.
func (r Reference) Registry() string { return r.host }

// Repository is the path within the registry, with library/ where it belongs.
func (r Reference) Repository() string { return r.path }

// Tag is empty for a reference by digest.
func (r Reference) Tag() string { return r.tag }

// Digest is empty for a reference by tag.
func (r Reference) Digest() string { return r.digest }

// Name is the whole reference, docker.io/library/debian:latest.
func (r Reference) Name() string { return r.host + "/" + r.path + r.suffix() }

// Familiar is the reference as a user types it, debian:latest.
func (r Reference) Familiar() string {
	if r.host != defaultHost {
		return r.Name()
	}
	short := r.path
	if bare := strings.TrimPrefix(short, officials); !strings.Contains(bare, "/") {
		short = bare
	}
	// docker.io/localhost/x would come back as a host of its own.
	if host, _ := splitHost(short); host != defaultHost {
		return r.Name()
	}
	return short + r.suffix()
}

// String is Familiar.
func (r Reference) String() string { return r.Familiar() }

func (r Reference) suffix() string {
	if r.digest != "" {
		return "@" + r.digest
	}
	return ":" + r.tag
}

// identifier is what the registry's manifests are asked for.
func (r Reference) identifier() string {
	if r.digest != "" {
		return r.digest
	}
	return r.tag
}

func parseReference(s string) (Reference, error) {
	if s == "" {
		return Reference{}, errors.New("is empty")
	}
	if grammar.IsSHA256(s) {
		return Reference{}, errors.New("64 hexadecimal digits are an image id, not a name")
	}
	name, digest, byDigest := strings.Cut(s, "@")
	if byDigest && !grammar.IsDigest(digest) {
		return Reference{}, errors.New("the digest must be sha256: and 64 lower case hexadecimal digits")
	}
	host, rest := splitHost(name)
	path, tag, tagged := strings.Cut(rest, ":")
	switch {
	case !tagged:
		tag = defaultTag
	case !grammar.IsTag(tag):
		return Reference{}, fmt.Errorf("tag %q: up to 128 letters, digits, dots, dashes and underscores", tag)
	}
	if byDigest {
		tag = ""
	}
	if host == defaultHost && !strings.Contains(path, "/") {
		path = officials + path
	}
	return Reference{host, path, tag, digest}, checkName(host, path)
}

// splitHost follows distribution/reference's splitDockerDomain.
func splitHost(name string) (host, rest string) {
	first, after, slash := strings.Cut(name, "/")
	switch {
	case !slash:
		return defaultHost, name
	case first == legacyHost:
		return defaultHost, after
	case strings.ContainsAny(first, ".:"), first == "localhost", strings.ToLower(first) != first:
		return first, after
	}
	return defaultHost, name
}

func checkName(host, path string) error {
	bare := strings.TrimPrefix(path, officials)
	switch {
	case !grammar.IsHost(host):
		return fmt.Errorf("%q is not a registry host", host)
	case bare == "":
		return errors.New("no repository name")
	case strings.ToLower(path) != path:
		return fmt.Errorf("repository name %q must be lower case", bare)
	case len(path) > maxPath:
		return fmt.Errorf("repository name longer than %d characters", maxPath)
	case !grammar.IsPath(path):
		return fmt.Errorf("%q is not a repository name", bare)
	}
	return nil
}
