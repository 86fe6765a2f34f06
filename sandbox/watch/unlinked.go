package watch

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Unlinked is how much of the disk the files take that a container has open but no name
// for, so that walking through its root does not find them: those on the file systems
// that the roots of its processes are on.
func (p *Processes) Unlinked() int64 {
	pids, err := p.PIDs()
	if err != nil {
		return 0
	}
	type inode struct{ dev, ino uint64 }
	var sum int64
	seen := map[inode]struct{}{}
	for _, pid := range pids {
		var root unix.Stat_t
		if unix.Stat(p.path(pid, "root"), &root) != nil {
			continue
		}
		for _, fd := range p.descriptors(pid) {
			var st unix.Stat_t
			if unix.Stat(p.path(pid, "fd/"+fd), &st) != nil || st.Nlink > 0 || st.Dev != root.Dev || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			at := inode{st.Dev, st.Ino}
			if _, counted := seen[at]; !counted {
				seen[at] = struct{}{}
				sum += st.Blocks * 512
			}
		}
	}
	return sum
}

func (p *Processes) descriptors(pid int) []string {
	dir, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	open := names[:0]
	for _, name := range names {
		if _, err := strconv.Atoi(name); err == nil {
			open = append(open, name)
		}
	}
	return open
}
