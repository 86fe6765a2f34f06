package firstproc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"unsafe"

	"rootlet/internal/linux"
)

// Between its last step and the user's program, the new process executes a
// trampoline: an executable of some three hundred bytes that knows how to try
// paths and to report that none could be executed. Without it, /proc/self/exe
// would lead to rootlet's own binary at the moment when the kernel opens what an
// image named, as its entrypoint or behind its #!, and a program could get hold
// of the file, which is the user's to write (CVE-2019-5736). With it, all there
// is to get hold of is a sealed memfd that holds nothing.

// trampolineCode says where its machine code lies: trampoline_GOARCH.s. A Go
// reference to an assembly function would be to a wrapper around it.
func trampolineCode() (start, end unsafe.Pointer)

// Trampoline makes the executable. The file closes on exec.
func Trampoline() (*os.File, error) {
	return linux.SealedCopy("rootlet-exec", bytes.NewReader(Executable(nil, code())))
}

func code() []byte {
	start, end := trampolineCode()
	return unsafe.Slice((*byte)(start), uintptr(end)-uintptr(start))
}

// DataAddress is where an Executable finds its data.
const DataAddress = base + headers

const (
	base    = 0x400000
	headers = 64 + 56 // sizes of Header64 and Prog64
)

// Executable wraps data, and code that does not mind where it is loaded, into the
// smallest static ELF file that the kernel takes (elf(5)): header, one segment.
// The code begins at DataAddress plus the data's length, a multiple of eight.
func Executable(data, code []byte) []byte {
	size := uint64(headers + len(data) + len(code))
	var file bytes.Buffer
	order := binary.NativeEndian
	_ = binary.Write(&file, order, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{
			0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT),
		},
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: DataAddress + uint64(len(data)), Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	})
	_ = binary.Write(&file, order, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	})
	file.Write(data) // a bytes.Buffer does not fail
	file.Write(code)
	return file.Bytes()
}
