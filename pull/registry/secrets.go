package registry

import (
	"slices"
	"strings"
	"sync"
)

// secrets are what must be in no message, even where a server sends back to us
// what only it was to know (threats 50).
type secrets struct {
	mu   sync.Mutex
	list []string
}

// leastSecret is what may be a word of any message, in bytes.
const leastSecret = 4

func (s *secrets) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if len(text) >= leastSecret && !slices.Contains(s.list, text) {
			s.list = append(s.list, text)
		}
	}
}

func (s *secrets) redact(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.list {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// redactedError is an error in other words.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }
