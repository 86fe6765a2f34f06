// Package grammar says what names, tags and digests of images look like
// (distribution/reference, reference.go; OCI distribution specification, "Pulling
// manifests"). It is written by hand: regular expressions would cost every start
// of rootlet half a millisecond.
package grammar

import "strings"

const maxTag = 128

// IsHost takes domain names and IPv6 addresses in brackets, with or without a
// port. It does not ask whether they make sense.
func IsHost(s string) bool {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		address, port, closed := strings.Cut(rest, "]")
		return closed && address != "" && all(address, func(c byte) bool { return isHex(c) || 'A' <= c && c <= 'F' || c == ':' }) &&
			(port == "" || port[0] == ':' && isNumber(port[1:]))
	}
	name, port, withPort := strings.Cut(s, ":")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' ||
			!all(label, func(c byte) bool { return isAlnum(c) || isUpper(c) || c == '-' }) {
			return false
		}
	}
	return !withPort || isNumber(port)
}

// IsPath takes components of lower case letters and digits with single dots,
// one or two underscores, or any number of dashes between them.
func IsPath(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	for {
		word := strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || !isAlnum(byte(r)) })
		if word < 0 {
			return s != ""
		}
		rest := strings.TrimLeft(s[word:], "._-")
		separator := s[word : len(s)-len(rest)]
		dashes := separator != "" && strings.Trim(separator, "-") == ""
		if word == 0 || !dashes && separator != "." && separator != "_" && separator != "__" {
			return false
		}
		s = rest
	}
}

// IsTag takes up to 128 letters, digits, dots, dashes and underscores, the first
// of them no dot and no dash.
func IsTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' &&
		all(s, func(c byte) bool { return isAlnum(c) || isUpper(c) || c == '_' || c == '.' || c == '-' })
}

// IsDigest takes those of sha256. It is strict on purpose: digests become file
// names (CVE-2024-3727).
func IsDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && IsSHA256(hex)
}

// IsSHA256 takes the digits of a digest alone, or of an id.
func IsSHA256(s string) bool { return len(s) == 64 && IsHex(s) }

// IsHex takes any number of lower case hexadecimal digits.
func IsHex(s string) bool { return all(s, isHex) }

func isNumber(s string) bool {
	return s != "" && all(s, func(c byte) bool { return '0' <= c && c <= '9' })
}

func isHex(c byte) bool   { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
func isAlnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
