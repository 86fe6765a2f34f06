package watch

import "golang.org/x/sys/unix"

// blockSize is the unit of st_blocks (stat(2)).
const blockSize = 512

// Unlinked is how much of the disk the files take that a container has open but no name
// for, so that walking through its root does not find them: those on the file systems
// that the roots of its processes are on.
func (p *Processes) Unlinked() int64 {
	onRoot := func(process Process, _ string, st *unix.Stat_t) bool {
		var root unix.Stat_t
		return unix.Stat(process.dir+"/root", &root) == nil && st.Dev == root.Dev
	}
	return p.nameless(onRoot)
}

// Lent is how much memory the files take that a container has open and no name for: those
// of memfd_create(2), and of a tmpfs.
func (p *Processes) Lent() int64 {
	inMemory := func(_ Process, path string, _ *unix.Stat_t) bool {
		var fs unix.Statfs_t
		return unix.Statfs(path, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.HUGETLBFS_MAGIC)
	}
	return p.nameless(inMemory)
}

func (p *Processes) nameless(counts func(of Process, path string, st *unix.Stat_t) bool) int64 {
	all, err := p.All()
	if err != nil {
		return 0
	}
	type inode struct{ dev, ino uint64 }
	var sum int64
	seen := map[inode]struct{}{}
	for _, process := range all {
		for _, fd := range entries(process.dir + "/fd") {
			var st unix.Stat_t
			path := process.dir + "/fd/" + fd
			if unix.Stat(path, &st) != nil || st.Nlink > 0 || st.Mode&unix.S_IFMT != unix.S_IFREG || !counts(process, path, &st) {
				continue
			}
			at := inode{st.Dev, st.Ino}
			if _, counted := seen[at]; !counted {
				seen[at] = struct{}{}
				sum += st.Blocks * blockSize
			}
		}
	}
	return sum
}
