package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"rootlet/fuseoverlay"
)

// historyCmd is `rootlet history`. It reads files; no namespace, no lock.
type historyCmd struct {
	Image   string `arg:"" name:"image" help:"Name or id."`
	Format  string `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	Human   bool   `name:"human" short:"H" default:"true" negatable:"" help:"Sizes and times for people."`
	NoTrunc bool   `name:"no-trunc" help:"Do not shorten."`
	Quiet   bool   `name:"quiet" short:"q" help:"Ids only."`
}

// The columns, for people and for programs (docker/cli, formatter, history.go).
const (
	historyColumns      = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
	historyPlainColumns = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
)

// historyRow is a line of the table; its fields are those of a --format template.
type historyRow struct{ Comment, CreatedAt, CreatedBy, CreatedSince, ID, Size string }

func historyHeader() historyRow {
	return historyRow{Comment: "COMMENT", CreatedAt: "CREATED AT", CreatedBy: "CREATED BY", CreatedSince: "CREATED", ID: "IMAGE", Size: "SIZE"}
}

// Run prints the table, the last step first.
func (c *historyCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	images := a.view(paths)
	name, err := storedName(images, c.Image)
	if err != nil {
		return err
	}
	image, err := images.Image(name)
	if errors.Is(err, fuseoverlay.ErrNoImage) {
		return noImage(c.Image)
	}
	if err != nil {
		return err
	}
	layers, err := images.Layers()
	if err != nil {
		return err
	}
	steps, err := historyOf(image, layers)
	if err != nil {
		return fmt.Errorf("image %s: %w", c.Image, err)
	}
	rows := []any{}
	for i, s := range steps {
		rows = append(rows, c.row(s, i == 0, image.ID, a.began))
	}
	out := format{text: c.Format, columns: historyColumns, quiet: c.Quiet}
	if !c.Human {
		out.columns = historyPlainColumns
	}
	return out.list(a.stdout, historyHeader(), rows)
}

// step is one of those by which an image was made (OCI image-spec, config.md).
type step struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Comment   string    `json:"comment"`
	Empty     bool      `json:"empty_layer"`

	size int64
}

// historyOf lists an image's steps, the last first, with the sizes of the layers
// that they made. A layer that no step tells of has one to itself.
func historyOf(image *fuseoverlay.Image, layers fuseoverlay.Layers) ([]step, error) {
	var config struct {
		History []step `json:"history"`
	}
	if err := json.Unmarshal(image.Config, &config); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	below := layers.Below(image.TopLayer)
	var steps []step
	for i := len(config.History) - 1; i >= 0; i-- {
		s := config.History[i]
		if !s.Empty && len(below) > 0 {
			s.size = layers[below[0]].Size
			below = below[1:]
		}
		steps = append(steps, s)
	}
	for _, id := range below {
		steps = append(steps, step{size: layers[id].Size})
	}
	return steps, nil
}

// createdByWidth is what the table has room for.
const createdByWidth = 45

func (c *historyCmd) row(s step, top bool, id string, now time.Time) historyRow {
	row := historyRow{
		Comment: printable(s.Comment), CreatedAt: unknown, CreatedBy: printable(strings.ReplaceAll(s.CreatedBy, "\t", " ")),
		CreatedSince: unknown, ID: "<missing>", Size: strconv.FormatInt(s.size, 10),
	}
	if top {
		row.ID = "sha256:" + id
	}
	if top && !c.NoTrunc {
		row.ID = shortID(id, false)
	}
	if !c.NoTrunc {
		row.CreatedBy = ellipsis(row.CreatedBy, createdByWidth)
	}
	if !s.Created.IsZero() {
		row.CreatedAt = s.Created.Local().Format(time.RFC3339)
		row.CreatedSince = ago(s.Created, now)
	}
	if !c.Human {
		row.CreatedSince = row.CreatedAt
		return row
	}
	row.Size = units.HumanSizeWithPrecision(float64(s.size), 3)
	return row
}

// ellipsis cuts a text to so many characters, the last of which says so.
func ellipsis(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
