package cli

import (
	"fmt"
	"strconv"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
)

// systemDfCmd is `rootlet system df`.
type systemDfCmd struct {
	Format  string `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	Verbose bool   `name:"verbose" short:"v" help:"Each image, container and volume."`
}

const dfColumns = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"

// dfRow is a line of the table; its fields are those of a --format template.
type dfRow struct{ Active, Reclaimable, Size, TotalCount, Type string }

func dfHeader() dfRow {
	return dfRow{Active: "ACTIVE", Reclaimable: "RECLAIMABLE", Size: "SIZE", TotalCount: "TOTAL", Type: "TYPE"}
}

// Run prints the table, or the tables.
func (c *systemDfCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	u, damaged, err := a.diskUsage(paths)
	if err != nil {
		return err
	}
	if c.Verbose {
		err = u.verbose(a, c.Format)
	} else {
		err = format{text: c.Format, columns: dfColumns}.list(a.stdout, dfHeader(), u.rows())
	}
	if err != nil || !damaged {
		return err
	}
	return exitStatus(ExitError)
}

// account is one line's numbers.
type account struct {
	kind              string
	total, active     int
	size, reclaimable int64
}

func (u *diskUsage) rows() []any {
	return []any{u.imagesAccount().row(), u.containersAccount().row(), u.volumesAccount().row(), account{kind: "Build Cache"}.row()}
}

// imagesAccount counts a layer once however many images have it; what containers
// need of it cannot be reclaimed.
func (u *diskUsage) imagesAccount() account {
	sum := account{kind: "Images", total: len(u.images), size: u.layers, reclaimable: u.layers - u.layersContainers}
	for _, i := range u.images {
		if i.containers > 0 {
			sum.active++
		}
	}
	return sum
}

func (u *diskUsage) containersAccount() account {
	sum := account{kind: "Containers", total: len(u.containers)}
	for _, e := range u.containers {
		sum.size += u.written[e.ID]
		if e.State.Status.Up() || e.State.Status == record.Restarting {
			sum.active++
		} else {
			sum.reclaimable += u.written[e.ID]
		}
	}
	return sum
}

func (u *diskUsage) volumesAccount() account {
	sum := account{kind: "Local Volumes", total: len(u.volumes)}
	for _, v := range u.volumes {
		sum.size += v.UsageData.Size
		if v.UsageData.RefCount > 0 {
			sum.active++
		} else {
			sum.reclaimable += v.UsageData.Size
		}
	}
	return sum
}

func (c account) row() dfRow {
	row := dfRow{
		Type: c.kind, TotalCount: strconv.Itoa(c.total), Active: strconv.Itoa(c.active),
		Size: units.HumanSize(float64(c.size)), Reclaimable: units.HumanSize(float64(c.reclaimable)),
	}
	if c.size > 0 {
		row.Reclaimable += fmt.Sprintf(" (%d%%)", c.reclaimable*100/c.size)
	}
	return row
}
