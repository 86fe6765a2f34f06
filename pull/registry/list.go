package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxList = 4 << 20 // of one page of a list, in bytes
	maxPage = 1000    // of entries that a page is asked for
)

var errListTooLarge = fmt.Errorf("list larger than %d MiB", maxList>>20)

// Tags lists the repository's tags, most of them at most.
func (c *Client) Tags(ctx context.Context, most int) ([]string, error) {
	return c.list(ctx, c.path("tags/list"), "tags", func(string) bool { return true }, most)
}

// Catalog lists the registry's repositories that are wanted, most of them at
// most.
func (c *Client) Catalog(ctx context.Context, wanted func(string) bool, most int) ([]string, error) {
	u := c.base
	u.Path = "/v2/_catalog"
	return c.list(ctx, &u, "repositories", wanted, most)
}

// list reads a list page by page (distribution-spec, Content Discovery).
func (c *Client) list(ctx context.Context, u *url.URL, field string, wanted func(string) bool, most int) ([]string, error) {
	if most <= 0 {
		return nil, nil
	}
	u.RawQuery = fmt.Sprintf("n=%d", maxPage)
	var all []string
	seen := map[string]bool{}
	for {
		seen[u.String()] = true
		body, header, err := c.document(ctx, u, http.Header{}, maxList, errListTooLarge)
		if err != nil {
			return nil, err
		}
		var page map[string]json.RawMessage
		var names []string
		if err = json.Unmarshal(body, &page); err == nil && len(page[field]) > 0 {
			err = json.Unmarshal(page[field], &names)
		}
		if err != nil {
			return nil, fmt.Errorf("registry %s: no list of %s: %w", c.config.Host, field, err)
		}
		for _, name := range names {
			if wanted(name) {
				all = append(all, name)
			}
			if len(all) == most {
				return all, nil
			}
		}
		next, ok := nextPage(u, header)
		if !ok || len(names) == 0 || seen[next.String()] || !sameHost(next, c.policy.registry) {
			return all, nil
		}
		u = next
	}
}

// nextPage reads the header Link: <URL>; rel="next" (RFC 8288).
func nextPage(u *url.URL, header http.Header) (*url.URL, bool) {
	for _, link := range header.Values("Link") {
		target, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		if next, err := u.Parse(target); err == nil {
			return next, true
		}
	}
	return nil, false
}

// Found is a repository that a search found.
type Found struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Stars       int    `json:"star_count"`
	Official    bool   `json:"is_official"`
	Automated   bool   `json:"is_automated"`
}

// ErrNoSearch says that the registry has no search.
var ErrNoSearch = errors.New("the registry has no search")

// searchHost is where docker.io keeps its search.
const searchHost = "index.docker.io"

// DialSearch is Dial for who wants to search: on Docker Hub, that is not the
// registry's own host, and asks nobody who he is.
func DialSearch(ctx context.Context, c Config) (*Client, error) {
	if c.address() != hubHost {
		return Dial(ctx, c)
	}
	client, err := newClient(c.withDefaults(), searchHost)
	if err != nil {
		return nil, err
	}
	client.base = url.URL{Scheme: "https", Host: searchHost}
	return client, nil
}

// Search asks what Docker Hub answers, and few others do (Docker's registry API
// version 1): at most 100 repositories that have the term in their name or
// description.
func (c *Client) Search(ctx context.Context, term string, most int) ([]Found, error) {
	u := c.base
	u.Path = "/v1/search"
	u.RawQuery = url.Values{"q": {term}, "n": {fmt.Sprint(most)}}.Encode()
	body, _, err := c.document(ctx, &u, http.Header{"Accept": {"application/json"}}, maxList, errListTooLarge)
	var status *StatusError
	if errors.As(err, &status) && (status.NotFound() || status.Status == http.StatusMethodNotAllowed) || errors.Is(err, errWebPage) {
		return nil, ErrNoSearch
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []Found `json:"results"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("registry %s: search: %w", c.config.Host, err)
	}
	return answer.Results[:min(len(answer.Results), most)], nil
}
