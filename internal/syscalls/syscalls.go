// Package syscalls has the numbers of the kernel's system calls. What filters them
// (sandbox/seccomp) and what asks such filters (internal/reportcard) go by the same.
package syscalls

//go:generate go run gen.go

// Call is a system call.
type Call struct {
	Name string
	// Numbers are those on amd64, i386, x32, arm64 and arm; -1: it has none there.
	Numbers [5]int32
}
