package linux

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LetGoOfText unmaps the pages of this binary that were only read or executed so far,
// most of which a start touches once, or the kernel has mapped around one that was
// (filemap_map_pages): those that are needed again come back from the page cache. A
// process that will idle for long has some 10 MiB less for it. Best effort.
func LetGoOfText() {
	binary, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if start, size, ok := readOnlyMapping(lines.Text(), binary); ok {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, size, unix.MADV_DONTNEED)
		}
	}
}

// readOnlyMapping reads a line of proc_pid_maps(5) that is of the binary and of pages
// that nobody can have written to.
func readOnlyMapping(line, binary string) (start, size uintptr, ok bool) {
	words := strings.Fields(line)
	if len(words) < 6 || !strings.HasSuffix(line, " "+binary) || len(words[1]) != 4 || words[1][0] != 'r' || words[1][1] != '-' {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(words[0], "-")
	first, errFirst := strconv.ParseUint(from, 16, 64)
	last, errLast := strconv.ParseUint(to, 16, 64)
	if errFirst != nil || errLast != nil || last <= first {
		return 0, 0, false
	}
	return uintptr(first), uintptr(last - first), true
}
