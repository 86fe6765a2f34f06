// Package sleeper makes the program that a monitor becomes while it has nothing
// to do: some hundred bytes of machine code that wait on one epoll descriptor
// and, when anything happens there, execute rootlet again. A Go program keeps
// megabytes for its runtime and wakes up each minute to look after them; this
// one keeps a page and does not wake.
//
// The process stays the same through both: its pid, its children, its
// descriptors, its namespaces, and the lock by which the container's life is
// told. Package sandbox (sleep.go) decides when, and what to remember.
package sleeper

import (
	"bytes"
	"encoding/binary"
	"os"
	"unsafe"

	"rootlet/internal/linux"
	"rootlet/sandbox/firstproc"
)

// Descriptors are those that the program works with. All must stay open over the
// execve(2).
type Descriptors struct {
	Epoll   int // what it waits on
	Signals int // a non-blocking signalfd(2): a signal is taken from it before it wakes ...
	Found   int // ... and written here, for the one who wakes up
	Binary  int // what it then executes
}

// New makes the program. What it executes gets the arguments and the environment
// that it was itself executed with.
func New(d Descriptors) (*os.File, error) {
	var data []byte
	for _, fd := range []int{d.Epoll, d.Binary, d.Signals, d.Found} { // in the code's order
		data = binary.NativeEndian.AppendUint32(data, uint32(fd))
	}
	return linux.SealedCopy("rootlet-sleeper", bytes.NewReader(firstproc.Executable(data, code())))
}

// sleeperCode says where its machine code lies: sleeper_GOARCH.s. A Go reference
// to an assembly function would be to a wrapper around it.
func sleeperCode() (start, end unsafe.Pointer)

func code() []byte {
	start, end := sleeperCode()
	return unsafe.Slice((*byte)(start), uintptr(end)-uintptr(start))
}
