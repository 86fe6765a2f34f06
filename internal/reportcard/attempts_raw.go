package reportcard

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpfMap makes an array of one number.
func bpfMap() error {
	attr := struct{ kind, keySize, valueSize, entries uint32 }{unix.BPF_MAP_TYPE_ARRAY, 4, 4, 1}
	return rawly(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
}

func ioUring() error {
	var params [120]byte // struct io_uring_params
	return rawly(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
}
