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

// New makes the program. It waits on the descriptor epoll, then executes binary,
// another descriptor, with the arguments and the environment that it was itself
// executed with. Both must stay open over the execve(2).
func New(epoll, binaryFD int) (*os.File, error) {
	data := binary.NativeEndian.AppendUint32(nil, uint32(epoll))
	data = binary.NativeEndian.AppendUint32(data, uint32(binaryFD))
	return linux.SealedCopy("rootlet-sleeper", bytes.NewReader(firstproc.Executable(data, code())))
}

// sleeperCode says where its machine code lies: sleeper_GOARCH.s. A Go reference
// to an assembly function would be to a wrapper around it.
func sleeperCode() (start, end unsafe.Pointer)

func code() []byte {
	start, end := sleeperCode()
	return unsafe.Slice((*byte)(start), uintptr(end)-uintptr(start))
}
