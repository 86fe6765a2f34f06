package fsprobe

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// magics are the names of file systems by their numbers, for what is told; nothing is
// decided by them. Those without a constant are not in the kernel's list (statfs(2)).
func magics() map[int64]string {
	return map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs", unix.TMPFS_MAGIC: "tmpfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb",
		unix.CIFS_SUPER_MAGIC: "cifs", unix.SMB2_SUPER_MAGIC: "smb2", unix.AFS_SUPER_MAGIC: "afs", 0x6B414653: "afs",
		unix.V9FS_MAGIC: "9p", unix.CODA_SUPER_MAGIC: "coda", 0x00c36400: "ceph", 0x0bd00bd0: "lustre",
		0x47504653: "gpfs", 0x19830326: "beegfs", 0xaad7aaea: "panfs", unix.FUSE_SUPER_MAGIC: "fuse",
		unix.ECRYPTFS_SUPER_MAGIC: "ecryptfs", unix.MSDOS_SUPER_MAGIC: "vfat", 0x2011BAB0: "exfat", 0x7366746e: "ntfs",
		unix.REISERFS_SUPER_MAGIC: "reiserfs", 0x3153464a: "jfs", 0x01161970: "gfs2", 0x7461636f: "ocfs2",
		0x786f4256: "vboxsf",
	}
}

// NameOf is Name, of a directory that is there.
func NameOf(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return Name(dir, int64(uint32(st.Type)))
}

// Name is what the file system of a directory is called: of FUSE, what the mount table
// says, as "fuse.sshfs".
func Name(dir string, magic int64) string {
	name, ok := magics()[magic]
	if !ok {
		name = fmt.Sprintf("file system %#x", magic)
	}
	if name != "fuse" && ok {
		return name
	}
	if mounted := mountedAs(dir); mounted != "" {
		return mounted
	}
	return name
}

// mountedAs is the type that /proc/self/mountinfo (proc_pid_mountinfo(5)) has for the
// mount that a directory is on; of several at one place the last is on top.
func mountedAs(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	best, kind := "", ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		const pointField = 4
		if !ok || len(fields) <= pointField {
			continue
		}
		point := unescape(fields[pointField])
		if len(point) >= len(best) && isBelow(dir, point) {
			kind, _, _ = strings.Cut(after, " ")
			best = point
		}
	}
	return kind
}

func isBelow(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// unescape undoes the octal escapes of the mount table.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		const digits = 3
		if s[i] == '\\' && i+digits < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+1+digits], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += digits
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
