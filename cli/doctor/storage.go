package doctor

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/fsprobe"
	"rootlet/internal/need"
)

// Disk is the file system of the data directory.
type Disk struct {
	FS               string // what its file system is called
	Free, Total      uint64
	ReadOnly, NoExec bool
	// Faults are what it lacks, as probed; by those that say so no layers can be there.
	Faults []fsprobe.Fault
	// Layers is where they are instead, if they are, and LayersFS what that is.
	Layers, LayersFS string
}

// DiskOf asks the kernel.
func DiskOf(dir string) (Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Disk{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	size := uint64(st.Bsize)
	return Disk{
		FS: fsprobe.Name(dir, int64(uint32(st.Type))), Free: st.Bavail * size, Total: st.Blocks * size,
		ReadOnly: st.Flags&unix.ST_RDONLY != 0, NoExec: st.Flags&unix.ST_NOEXEC != 0,
	}, nil
}

// The disk is nearly full below both: 5 in 100, and a byte count.
const (
	fewBytes   = 1 << 30
	fewInTotal = 20
)

// storage says where layers and containers are kept.
func (h Host) storage() Need {
	n := Need{Name: need.Storage, Status: OK}
	if h.DataErr != nil {
		n.Status, n.Now, n.Better, n.Why = Missing, "none: no container can run", "a directory of yours", h.DataErr.Error()
		n.Fix = h.elsewhere()
		if h.Home != "" {
			n.Fix = Fix{User: []string{"export HOME=" + h.Home}}
		}
		return n
	}
	n.Now = fmt.Sprintf("%s (%s, %s free of %s)", h.Data, h.Disk.FS, units.BytesSize(float64(h.Disk.Free)), units.BytesSize(float64(h.Disk.Total)))
	if h.Disk.Layers != "" {
		n.Now += fmt.Sprintf("; layers in %s (%s)", h.Disk.Layers, h.Disk.LayersFS)
	}
	lacks := lacking(h.Disk.Faults)
	switch {
	case h.Disk.ReadOnly:
		n.Status, n.Better, n.Why, n.Fix = Missing, "a directory that can be written to", "its file system is mounted read-only", h.elsewhere()
	case lacks != "" || h.Disk.Layers != "":
		n.Status, n.Better, n.Why = Better, "all of it on a disk of this host's", lacks
		n.Fix = h.elsewhere()
		if lacks == "" {
			n.Why = "--layers-dir, ROOTLET_LAYERS_DIR or config.toml asks for layers to be elsewhere, or the first disk did"
		}
	case h.Disk.NoExec:
		n.Status, n.Better = Better, "a file system whose programs may be executed"
		n.Why, n.Fix = "it is mounted noexec, which holds for copied layers and for volumes", h.elsewhere()
	case h.Disk.Free < fewBytes || h.Disk.Free < h.Disk.Total/fewInTotal:
		n.Status, n.Better, n.Why = Better, "more free space", "the disk is nearly full"
		n.Fix.User = []string{"rootlet system df", "rootlet system prune"}
	}
	return n
}

// lacking says what a file system cannot do, leaving out what only matters for copied
// layers.
func lacking(faults []fsprobe.Fault) string {
	var all []string
	for _, f := range faults {
		if f.Feature != fsprobe.Exec {
			all = append(all, f.String())
		}
	}
	return strings.Join(all, "; ")
}

// elsewhere has the data somewhere else.
func (h Host) elsewhere() Fix {
	dir := "/var/local/" + h.User
	return Fix{
		Admin: []string{"install -d -m 700 -o " + h.User + " " + dir},
		User:  []string{"rootlet system move " + dir + "/rootlet"},
	}
}
