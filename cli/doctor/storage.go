package doctor

import (
	"fmt"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"rootlet/internal/need"
)

// Disk is the file system of the data directory.
type Disk struct {
	Type             int64 // statfs(2)
	Free, Total      uint64
	ReadOnly, NoExec bool
}

// DiskOf asks the kernel.
func DiskOf(dir string) (Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Disk{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	size := uint64(st.Bsize)
	return Disk{
		Type: int64(uint32(st.Type)), Free: st.Bavail * size, Total: st.Blocks * size,
		ReadOnly: st.Flags&unix.ST_RDONLY != 0, NoExec: st.Flags&unix.ST_NOEXEC != 0,
	}, nil
}

// local are file systems of this host's own disks. ZFS and bcachefs are not in
// the kernel's list (statfs(2)).
func local() map[int64]string {
	return map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs", unix.TMPFS_MAGIC: "tmpfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	}
}

// strange are file systems on which layers fare badly, and why.
func strange() map[int64][2]string {
	const network = "a network file system, on which other ids, extended attributes and overlays are often refused"
	return map[int64][2]string{
		unix.NFS_SUPER_MAGIC: {"nfs", network}, unix.SMB_SUPER_MAGIC: {"smb", network}, unix.CIFS_SUPER_MAGIC: {"cifs", network},
		unix.SMB2_SUPER_MAGIC: {"smb2", network}, unix.AFS_SUPER_MAGIC: {"afs", network}, unix.V9FS_MAGIC: {"9p", network},
		unix.CODA_SUPER_MAGIC: {"coda", network}, 0x00c36400: {"ceph", network}, 0x0bd00bd0: {"lustre", network},
		unix.FUSE_SUPER_MAGIC:     {"fuse", "a file system of some program's, which often refuses other ids and overlays"},
		unix.ECRYPTFS_SUPER_MAGIC: {"ecryptfs", "overlays are refused on it, and long names"},
	}
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
	kind := local()[h.Disk.Type]
	bad, isBad := strange()[h.Disk.Type]
	switch {
	case isBad:
		kind = bad[0]
	case kind == "":
		kind = fmt.Sprintf("file system %#x", h.Disk.Type)
	}
	n.Now = fmt.Sprintf("%s (%s, %s free of %s)", h.Data, kind, units.BytesSize(float64(h.Disk.Free)), units.BytesSize(float64(h.Disk.Total)))
	switch {
	case h.Disk.ReadOnly:
		n.Status, n.Better, n.Why, n.Fix = Missing, "a directory that can be written to", "its file system is mounted read-only", h.elsewhere()
	case isBad:
		n.Status, n.Better, n.Why, n.Fix = Better, "a disk of this host's", bad[1], h.elsewhere()
	case h.Disk.NoExec:
		n.Status, n.Better = Better, "a file system whose programs may be executed"
		n.Why, n.Fix = "it is mounted noexec, which holds for copied layers and for volumes", h.elsewhere()
	case h.Disk.Free < fewBytes || h.Disk.Free < h.Disk.Total/fewInTotal:
		n.Status, n.Better, n.Why = Better, "more free space", "the disk is nearly full"
		n.Fix.User = []string{"rootlet system df", "rootlet system prune"}
	}
	return n
}

// elsewhere has the data somewhere else.
func (h Host) elsewhere() Fix {
	dir := "/var/local/" + h.User
	return Fix{
		Admin: []string{"install -d -m 700 -o " + h.User + " " + dir},
		User:  []string{"export XDG_DATA_HOME=" + dir},
	}
}
