package registry

import (
	"net/http"
	"strings"
)

// challenge is one way in which a registry wants to know who asks (RFC 9110
// section 11.3).
type challenge struct {
	scheme string            // lower case
	params map[string]string // by lower case name
}

// maxChallenges bounds what is read of the header, which anybody can fill.
const maxChallenges = 16

// challengeOf picks the challenge that we can answer from a refusal.
func challengeOf(header http.Header) (challenge, bool) {
	for _, line := range header.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(line) {
			if c.scheme == "bearer" && c.params["realm"] != "" || c.scheme == "basic" {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// parseChallenges reads a WWW-Authenticate header: one challenge or several,
// with commas between them as between the parameters of each. What is not
// understood ends the list.
func parseChallenges(s string) (all []challenge) {
	for len(all) < maxChallenges {
		s = strings.TrimLeft(s, " \t,")
		scheme, rest := tokenOf(s)
		if scheme == "" {
			return all
		}
		c := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
		s = c.parse(rest)
		all = append(all, c)
	}
	return all
}

// parse reads parameters up to the next challenge, and returns what is left.
func (c *challenge) parse(s string) string {
	for {
		s = strings.TrimLeft(s, " \t,")
		name, rest := tokenOf(s)
		rest, isParam := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "=")
		if name == "" || !isParam {
			return s
		}
		text, rest := paramValue(strings.TrimLeft(rest, " \t"))
		if name = strings.ToLower(name); c.params[name] == "" { // the first counts
			c.params[name] = text
		}
		s = rest
	}
}

// tokenOf splits off what the RFC calls a token: a word without separators.
func tokenOf(s string) (word, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// paramValue is a quoted string, or a word up to the next comma: some registries do
// not quote URLs.
func paramValue(s string) (text, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "" // never closed
}
