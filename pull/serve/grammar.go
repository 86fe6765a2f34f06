package serve

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"rootlet/pull/grammar"
)

// longestName is what many clients allow with the host ("Pulling manifests").
const longestName = 255

// ValidName reports whether a repository may be called so. A name's parts cannot
// begin with a dot, a dash or an underscore, so that storages may use names that
// do for their own files.
func ValidName(s string) bool { return len(s) <= longestName && grammar.IsPath(s) }

// ValidTag reports whether a manifest may be tagged so.
func ValidTag(s string) bool { return grammar.IsTag(s) }

// Digest names content by its hash. One that came from [ParseDigest] can be part
// of a path.
type Digest string

// ParseDigest reads a digest of an algorithm that the image specification
// registers: sha256 or sha512 (descriptor.md, "Registered Algorithms").
func ParseDigest(s string) (Digest, bool) {
	algorithm, digits, _ := strings.Cut(s, ":")
	d := Digest(s)
	h := d.New()
	if h == nil || hex.EncodedLen(h.Size()) != len(digits) || !grammar.IsHex(digits) {
		return "", false
	}
	return d, algorithm != ""
}

// Algorithm is the part before the colon.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return algorithm
}

// Hex is the part behind the colon.
func (d Digest) Hex() string {
	_, digits, _ := strings.Cut(string(d), ":")
	return digits
}

// New is a hash of the digest's algorithm, or nil where there is none.
func (d Digest) New() hash.Hash {
	switch d.Algorithm() {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// Of is the digest of content by d's algorithm.
func (d Digest) Of(content []byte) Digest {
	h := d.New()
	h.Write(content)
	return Sum(d.Algorithm(), h)
}

// Sum is the digest that a hash has come to.
func Sum(algorithm string, h hash.Hash) Digest {
	return Digest(algorithm + ":" + hex.EncodeToString(h.Sum(nil)))
}

// canonical is the algorithm of what is pushed without a digest.
const canonical Digest = "sha256:"
