package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
)

const (
	// A container's start takes so many processes and threads, of which a Go program that
	// gets none ends in a stack trace.
	threadsTaken = 24
	// manyThreads is a limit at which nobody counts.
	manyThreads = 512
)

// roomForThreads refuses to begin what would end half-way: where few processes and threads
// are allowed (ulimit -u), it counts those that are there.
func roomForThreads() error {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) != nil || limit.Cur > manyThreads || os.Getuid() == 0 {
		return nil
	}
	there := threadsOf("/proc", os.Getuid())
	if there+threadsTaken <= limit.Cur {
		return nil
	}
	return &fewThreadsError{limit.Cur, there}
}

// threadsOf counts a user's threads, our own among them.
func threadsOf(proc string, uid int) (n uint64) {
	all, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "status"))
	mine := fmt.Appendf(nil, "\nUid:\t%d\t", uid)
	for _, name := range all {
		status, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(status, mine) {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(status, []byte("\nThreads:\t"))
		number, _, _ := bytes.Cut(rest, []byte("\n"))
		threads, _ := strconv.ParseUint(string(number), 10, 32)
		n += threads
	}
	return n
}

type fewThreadsError struct{ limit, there uint64 }

func (e *fewThreadsError) Error() string {
	return fmt.Sprintf("%d processes and threads of yours are allowed (ulimit -u), %d are there, and a container takes %d", e.limit, e.there, threadsTaken)
}

// Hint is what to type.
func (e *fewThreadsError) Hint() string { return "ulimit -u 4096" }

// Need is the line of doctor about it.
func (e *fewThreadsError) Need() string { return need.TimeToStart }
