package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/docker/go-units"
)

// The tables of `system df -v` (docker/cli, formatter, disk_usage.go).
const (
	dfImageColumns     = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}"
	dfContainerColumns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
	dfVolumeColumns    = "{{.Name}}\t{{.Links}}\t{{.Size}}"
	dfCacheColumns     = "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}"
)

// cacheRow is a line of the build cache's table. There is no build cache yet;
// scripts that read the tables find all of Docker's.
type cacheRow struct{ CacheType, CreatedSince, ID, LastUsedSince, Shared, Size, UsageCount string }

func cacheHeader() cacheRow {
	return cacheRow{
		CacheType: "CACHE TYPE", CreatedSince: "CREATED", ID: "CACHE ID", LastUsedSince: "LAST USED",
		Shared: "SHARED", Size: "SIZE", UsageCount: "USAGE",
	}
}

// verbose prints a line for each image, container and volume.
func (u *diskUsage) verbose(a *app, text string) error {
	images, containers, volumes := u.imageRows(a.began), u.containerRows(a.began), u.volumeRows()
	if text != "" && text != "table" {
		return printFormatted(a.stdout, text, struct{ Images, Containers, Volumes, BuildCache []any }{images, containers, volumes, []any{}})
	}
	for _, table := range []struct {
		title, columns string
		header         any
		rows           []any
	}{
		{"Images space usage:", dfImageColumns, imageHeader(), images},
		{"\nContainers space usage:", dfContainerColumns, psHeader(), containers},
		{"\nLocal Volumes space usage:", dfVolumeColumns, volumeHeader(), volumes},
		{"\nBuild cache usage: 0B", dfCacheColumns, cacheHeader(), nil},
	} {
		if _, err := fmt.Fprintf(a.stdout, "%s\n\n", table.title); err != nil {
			return err
		}
		if err := (format{columns: table.columns}).list(a.stdout, table.header, table.rows); err != nil {
			return err
		}
	}
	return nil
}

func (u *diskUsage) imageRows(now time.Time) []any {
	rows := []any{}
	for _, i := range u.images {
		row := (&imagesCmd{}).rows(i.Image, nil, now)[0].(imageRow) // under its first name
		row.Containers = strconv.Itoa(i.containers)
		row.SharedSize = units.HumanSize(float64(i.shared))
		row.UniqueSize = units.HumanSize(float64(i.Size - i.shared))
		rows = append(rows, row)
	}
	return rows
}

func (u *diskUsage) containerRows(now time.Time) []any {
	all := psRows{now: now, shown: printable}
	for _, i := range u.images {
		all.images = append(all.images, i.Image)
	}
	rows := []any{}
	for _, e := range u.containers {
		row := all.row(e)
		row.Size = units.HumanSizeWithPrecision(float64(u.written[e.ID]), 3)
		rows = append(rows, row)
	}
	return rows
}

func (u *diskUsage) volumeRows() []any {
	rows := []any{}
	for _, v := range u.volumes {
		row := v.row()
		row.Links, row.Size = strconv.Itoa(v.UsageData.RefCount), units.HumanSize(float64(v.UsageData.Size))
		rows = append(rows, row)
	}
	return rows
}
