package serve

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// catalog lists the repositories, as Docker's registry does.
func (s *registry) catalog(r *request) error {
	all, err := s.storage.Repositories()
	if err != nil {
		return err
	}
	shown, err := r.page(all)
	if err != nil {
		return err
	}
	return r.sendJSON(struct {
		Repositories []string `json:"repositories"`
	}{shown})
}

func (s *registry) tags(r *request) error {
	all, err := s.storage.Tags(r.name)
	if err != nil {
		return err
	}
	shown, err := r.page(all)
	if err != nil {
		return err
	}
	return r.sendJSON(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{r.name, shown})
}

// page is the part of a sorted list that the query asks for: at most n, after
// last, which need not be in it. Where there is more, Link says how to go on.
func (r *request) page(all []string) ([]string, error) {
	query := r.URL.Query()
	if last := query.Get("last"); last != "" {
		at, found := slices.BinarySearch(all, last)
		if found {
			at++
		}
		all = all[at:]
	}
	if all == nil {
		all = []string{} // a list in JSON, too
	}
	given := query.Get("n")
	if given == "" {
		return all, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 0 {
		return nil, faultf(http.StatusBadRequest, codePage, "n=%q is no number of entries", given)
	}
	if n >= len(all) {
		return all, nil
	}
	if n > 0 {
		r.linkNext(url.Values{"n": {given}, "last": {all[n-1]}})
	}
	return all[:n], nil
}

// linkNext names the next page (RFC 8288).
func (r *request) linkNext(query url.Values) {
	next := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
	r.w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
}
