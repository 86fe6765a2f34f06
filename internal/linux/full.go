package linux

import "golang.org/x/sys/unix"

// IsFull says whether a file of some size does not go into a directory: the file system
// has no room or no inodes left for an ordinary user (statfs(2)).
func IsFull(dir string) bool {
	const some, few = 64 << 10, 8
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Blocks > 0 && (st.Bavail*uint64(st.Bsize) < some || st.Files > 0 && st.Ffree < few)
}
