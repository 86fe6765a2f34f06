package cli

import (
	"sort"
	"strings"
	"time"

	"github.com/docker/go-units"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/sandbox"
)

// imagesCmd is `rootlet images`. It reads files; no namespace, no lock.
type imagesCmd struct {
	Quiet   bool   `name:"quiet" short:"q" help:"Ids only."`
	NoTrunc bool   `name:"no-trunc" help:"Do not shorten."`
	Format  string `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
}

const imagesColumns = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

// imageRow is a line of the table; its fields are those of a --format template.
type imageRow struct {
	Containers, CreatedAt, CreatedSince, Digest, ID, Repository, SharedSize, Size, Tag, UniqueSize string
}

func imageHeader() imageRow {
	return imageRow{
		Containers: "CONTAINERS", CreatedAt: "CREATED AT", CreatedSince: "CREATED", Digest: "DIGEST", ID: "IMAGE ID",
		Repository: "REPOSITORY", SharedSize: "SHARED SIZE", Size: "SIZE", Tag: "TAG", UniqueSize: "UNIQUE SIZE",
	}
}

// Run prints the table.
func (c *imagesCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	images, err := view(paths).Images()
	if err != nil {
		return err
	}
	sort.SliceStable(images, func(i, k int) bool { return images[i].Created.After(images[k].Created) })
	var rows []any
	for _, i := range images {
		rows = append(rows, c.rows(i, a.began)...)
	}
	return format{text: c.Format, columns: imagesColumns, quiet: c.Quiet}.list(a.stdout, imageHeader(), rows)
}

// rows are the lines of one image: one a name, or with --quiet one alone.
func (c *imagesCmd) rows(i fuseoverlay.Image, now time.Time) []any {
	row := imageRow{
		CreatedAt: i.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), CreatedSince: ago(i.Created, now), Digest: none,
		ID: shortID(i.ID, false), Size: units.HumanSizeWithPrecision(float64(i.Size), 3), Repository: none, Tag: none,
		Containers: unknown, SharedSize: unknown, UniqueSize: unknown,
	}
	if c.NoTrunc {
		row.ID = "sha256:" + i.ID
	}
	if i.Digest != "" {
		row.Digest = printable(i.Digest)
	}
	if len(i.Names) == 0 || c.Quiet {
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
	if full == helloFullName {
		full = helloName + ":latest"
	} else if ref, err := pull.ParseReference(full); err == nil {
		full = ref.Familiar()
	}
	if name, digest, ok := strings.Cut(full, "@"); ok && digest != "" {
		return name, none
	}
	if i := strings.LastIndexByte(full, ':'); i > strings.LastIndexByte(full, '/') {
		return full[:i], full[i+1:]
	}
	return full, none
}

// view is the store as it can be read here, by the user himself.
func view(paths sandbox.Paths) fuseoverlay.View {
	return fuseoverlay.View{GraphRoot: sandbox.StoreConfig(paths, "").GraphRoot}
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
		if _, err := images.Image(name); err == nil {
			return name, nil
		}
	}
	if i, err := images.Image(digits); err == nil {
		return i.ID, nil
	}
	return name, err
}
