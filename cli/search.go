package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rootlet/pull"
	"rootlet/pull/registry"
)

// searchCmd is `rootlet search`.
type searchCmd struct {
	Term      string   `arg:"" help:"What to look for, on Docker Hub; HOST/TERM looks in that registry."`
	Filters   []string `name:"filter" short:"f" sep:"none" placeholder:"KEY=VALUE" help:"stars=N, is-official=true."`
	Format    string   `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	Limit     int      `name:"limit" default:"25" placeholder:"N" help:"At most so many, up to 100."`
	ListTags  bool     `name:"list-tags" help:"List the tags of the repository TERM."`
	NoTrunc   bool     `name:"no-trunc" help:"Do not shorten."`
	TLSVerify *bool    `name:"tls-verify" help:"Check the registry's certificate."`
}

const (
	searchColumns = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"
	tagColumns    = "{{.Name}}\t{{.Tag}}"
	searchMost    = 100 // what Docker Hub gives
)

// searchRow is a line of the table; its fields are those of a --format template.
type searchRow struct{ Description, IsAutomated, IsOfficial, Name, StarCount string }

// tagRow is a line of the table of tags.
type tagRow struct{ Name, Tag string }

// Run prints what was found.
func (c *searchCmd) Run(a *app) error {
	if c.Limit < 1 || c.Limit > searchMost && !c.ListTags {
		return fmt.Errorf("limit %d is outside the range of [1, %d]", c.Limit, searchMost)
	}
	f, err := parseFilters(c.Filters, "stars", "is-official", "is-automated")
	if err != nil {
		return err
	}
	if c.ListTags {
		return c.listTags(a)
	}
	wanted, err := searchFilter(f)
	if err != nil {
		return err
	}
	found, err := c.find(a)
	if err != nil {
		return err
	}
	slices.SortStableFunc(found, func(a, b registry.Found) int { return cmp.Compare(b.Stars, a.Stars) })
	var rows []any
	for _, r := range found {
		if wanted(r) {
			rows = append(rows, c.row(r))
		}
	}
	header := searchRow{Description: "DESCRIPTION", IsAutomated: "AUTOMATED", IsOfficial: "OFFICIAL", Name: "NAME", StarCount: "STARS"}
	return format{text: c.Format, columns: searchColumns}.list(a.stdout, header, rows)
}

// searchFilter is what the filters let through.
func searchFilter(f filters) (func(registry.Found) bool, error) {
	stars := 0
	for _, value := range f["stars"] {
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'stars=%s'", value)
		}
		stars = max(stars, n)
	}
	official, err := f.flag("is-official", false)
	if err != nil {
		return nil, err
	}
	automated, err := f.flag("is-automated", false)
	if err != nil {
		return nil, err
	}
	return func(r registry.Found) bool {
		return r.Stars >= stars && (!f.has("is-official") || r.Official == official) && (!f.has("is-automated") || r.Automated == automated)
	}, nil
}

// descriptionWidth is where a description is cut, in characters, as Docker does.
const descriptionWidth = 45

func (c *searchCmd) row(r registry.Found) searchRow {
	row := searchRow{
		Name: printable(r.Name), Description: printable(strings.Join(strings.Fields(r.Description), " ")),
		StarCount: strconv.Itoa(r.Stars),
	}
	if text := []rune(row.Description); !c.NoTrunc && len(text) > descriptionWidth {
		row.Description = string(text[:descriptionWidth-1]) + "…"
	}
	row.IsOfficial, row.IsAutomated = c.mark(r.Official), c.mark(r.Automated)
	return row
}

// mark is yes or no, for people or for programs.
func (c *searchCmd) mark(yes bool) string {
	switch {
	case c.Format == "json":
		return strconv.FormatBool(yes)
	case yes:
		return "[OK]"
	}
	return ""
}

// find asks the registry that the term names, or Docker Hub.
func (c *searchCmd) find(a *app) ([]registry.Found, error) {
	host, term, named := strings.Cut(c.Term, "/")
	if !named || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, term = "docker.io", c.Term
	}
	settings, err := a.registries("")
	if err != nil {
		return nil, err
	}
	config, err := a.registryHost(settings, host, c.TLSVerify)
	if err != nil {
		return nil, err
	}
	var found []registry.Found
	err = a.unlessSignalled(func(ctx context.Context) error {
		found, err = search(ctx, config, term, c.Limit)
		return err
	})
	if err != nil {
		return nil, pull.Explain("search", host, err)
	}
	if host != "docker.io" {
		for i := range found { // as they are pulled
			found[i].Name = host + "/" + strings.TrimPrefix(found[i].Name, host+"/")
		}
	}
	return found, nil
}

// search asks a registry that has a search, and of another what it has.
func search(ctx context.Context, config registry.Config, term string, most int) ([]registry.Found, error) {
	client, err := registry.DialSearch(ctx, config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found, err := client.Search(ctx, term, most)
	if !errors.Is(err, registry.ErrNoSearch) {
		return found, err
	}
	names, err := client.Catalog(ctx, func(name string) bool { return strings.Contains(name, term) }, most)
	for _, name := range names {
		found = append(found, registry.Found{Name: name})
	}
	return found, err
}

// listTags prints the tags of a repository.
func (c *searchCmd) listTags(a *app) error {
	ref, tags, err := a.tags(c.Term, c.TLSVerify, c.Limit)
	if err != nil {
		return err
	}
	var rows []any
	for _, tag := range tags {
		rows = append(rows, tagRow{ref.Registry() + "/" + ref.Repository(), tag})
	}
	return format{text: c.Format, columns: tagColumns}.list(a.stdout, tagRow{"NAME", "TAG"}, rows)
}
