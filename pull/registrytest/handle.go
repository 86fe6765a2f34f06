package registrytest

import (
	"net/http"
	"strings"
)

// handler answers requests in the registry's place.
type handler struct {
	path   string
	answer http.HandlerFunc
}

// Handle has answer answer all requests with path in theirs, but for those that
// meet a fault. The last one that fits counts.
func (r *Registry) Handle(path string, answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handlers = append(r.handlers, handler{path, answer})
}

// handled finds who answers instead, nil for the registry itself.
func (r *Registry) handled(req *http.Request) http.HandlerFunc {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.handlers) - 1; i >= 0; i-- {
		if strings.Contains(req.URL.Path, r.handlers[i].path) {
			return r.handlers[i].answer
		}
	}
	return nil
}
