package cli

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// imagesCmd is `rootlet images`. It reads files; no namespace, no lock.
type imagesCmd struct {
	Repository string   `arg:"" optional:"" name:"repository" help:"Those of this REPOSITORY[:TAG], with wildcards."`
	All        bool     `name:"all" short:"a" help:"All of them: none are hidden here, with or without."`
	Digests    bool     `name:"digests" help:"Their digests, too."`
	Filter     []string `name:"filter" short:"f" sep:"none" placeholder:"KEY=VALUE" help:"dangling, label, before, since, until or reference."`
	Format     string   `name:"format" placeholder:"FORMAT" help:"table, json, raw, or a Go template."`
	NoTrunc    bool     `name:"no-trunc" help:"Do not shorten."`
	Quiet      bool     `name:"quiet" short:"q" help:"Ids only."`
}

func (c *imagesCmd) filterKeys() []string { return imageFilterKeys }

// The columns of the table, and what --format raw stands for.
const (
	imagesColumns       = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
	imagesDigestColumns = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

	imagesRaw       = "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
	imagesDigestRaw = "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
)

// imageRow is a line of the table; its fields are those of a --format template.
type imageRow struct {
	Containers, CreatedAt, CreatedSince, Digest, ID, Repository, SharedSize, Size, Tag, UniqueSize, VirtualSize string
}

func imageHeader() imageRow {
	return imageRow{
		Containers: "CONTAINERS", CreatedAt: "CREATED AT", CreatedSince: "CREATED", Digest: "DIGEST", ID: "IMAGE ID",
		Repository: "REPOSITORY", SharedSize: "SHARED SIZE", Size: "SIZE", Tag: "TAG", UniqueSize: "UNIQUE SIZE", VirtualSize: "SIZE",
	}
}

// Run prints the table.
func (c *imagesCmd) Run(a *app) error {
	f, err := parseFilters(c.Filter, imageFilterKeys...)
	if err != nil {
		return err
	}
	if c.Repository != "" {
		f["reference"] = append(f["reference"], c.Repository)
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	all, err := a.view(paths).Images()
	if err != nil {
		return err
	}
	images, err := imageFilter{filters: f, view: a.view(paths), all: all, now: a.began}.apply()
	if err != nil {
		return err
	}
	sort.SliceStable(images, func(i, k int) bool { return images[i].Created.After(images[k].Created) })
	usage := map[string]imageUsage{}
	if c.usage() {
		if usage, err = a.usageOf(paths, all); err != nil {
			return err
		}
	}
	var rows []any
	for _, i := range images {
		rows = append(rows, c.rows(i, usage, a.began)...)
	}
	out := format{text: c.Format, columns: imagesColumns, raw: imagesRaw, quiet: c.Quiet}
	if c.Digests {
		out.columns, out.raw = imagesDigestColumns, imagesDigestRaw
	}
	return out.list(a.stdout, imageHeader(), rows)
}

// usage reports whether the format asks for what takes a look at more than the
// list of images.
func (c *imagesCmd) usage() bool {
	return !c.Quiet && (c.Format == "json" || strings.Contains(c.Format, ".Containers") || strings.Contains(c.Format, "edSize") || strings.Contains(c.Format, ".UniqueSize"))
}

// usageOf counts, for each image's id, its containers, and what it shares.
func (a *app) usageOf(paths sandbox.Paths, images []fuseoverlay.Image) (map[string]imageUsage, error) {
	entries, err := record.Root(paths.Data).List()
	if err != nil {
		return nil, err
	}
	layers, err := a.view(paths).Layers()
	if err != nil {
		return nil, err
	}
	all := map[string]imageUsage{}
	for _, u := range imageUsages(images, layers, entries) {
		all[u.ID] = u
	}
	return all, nil
}

// rows are the lines of one image: one a name.
func (c *imagesCmd) rows(i fuseoverlay.Image, usage map[string]imageUsage, now time.Time) []any {
	row := imageRow{
		CreatedAt: unknown, CreatedSince: unknown, Digest: none, ID: shortID(i.ID, false), Repository: none, Tag: none,
		Containers: unknown, SharedSize: unknown, Size: units.HumanSizeWithPrecision(float64(i.Size), 3), UniqueSize: unknown,
	}
	row.VirtualSize = row.Size
	if !i.Created.IsZero() {
		row.CreatedAt, row.CreatedSince = i.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), ago(i.Created, now)
	}
	if c.NoTrunc {
		row.ID = "sha256:" + i.ID
	}
	if i.Digest != "" {
		row.Digest = printable(i.Digest)
	}
	if u, ok := usage[i.ID]; ok {
		row.Containers = strconv.Itoa(u.containers)
		row.SharedSize, row.UniqueSize = units.HumanSizeWithPrecision(float64(u.shared), 3), units.HumanSizeWithPrecision(float64(i.Size-u.shared), 3)
	}
	if len(i.Names) == 0 {
		return []any{row}
	}
	var rows []any
	for _, name := range i.Names {
		row.Repository, row.Tag = splitName(name)
		row.Repository, row.Tag = printable(row.Repository), printable(row.Tag)
		rows = append(rows, row)
	}
	return rows
}

// none stands for a name, tag or digest that is not there.
const none = "<none>"

// splitName shows a full name as Docker does: docker.io and library left out.
func splitName(full string) (repository, tag string) {
	full = familiar(full)
	if name, digest, ok := strings.Cut(full, "@"); ok && digest != "" {
		return name, none
	}
	if i := strings.LastIndexByte(full, ':'); i > strings.LastIndexByte(full, '/') {
		return full[:i], full[i+1:]
	}
	return full, none
}

// familiar is a full name in whole, as Docker shows it.
func familiar(full string) string {
	if full == helloFullName {
		return helloName + ":latest"
	}
	if ref, err := pull.ParseReference(full); err == nil {
		return ref.Familiar()
	}
	return full
}

// view is the store as it can be read here, by the user himself.
func view(paths sandbox.Paths) fuseoverlay.View {
	c := sandbox.StoreConfig(paths, "")
	if c.Lists != "" {
		return fuseoverlay.View{GraphRoot: c.Lists, LayerRoot: c.GraphRoot}
	}
	return fuseoverlay.View{GraphRoot: c.GraphRoot}
}

// storedName is what an image that the user speaks of goes by in the store: its
// full name, or where there is none of that name, the id whose first digits he
// may have written.
func storedName(images fuseoverlay.View, given string) (string, error) {
	name, err := imageName(given)
	digits, prefixed := strings.CutPrefix(given, "sha256:")
	if digits == "" || strings.Trim(digits, "0123456789abcdef") != "" {
		return name, err
	}
	if !prefixed && err == nil {
		if _, err := images.Find(name); err == nil {
			return name, nil
		}
	}
	if i, err := images.Find(digits); err == nil {
		return i.ID, nil
	}
	return name, err
}

// noImage says that there is none by the name that the user gave.
func noImage(given string) error { return fmt.Errorf("%w: %s", fuseoverlay.ErrNoImage, given) }
