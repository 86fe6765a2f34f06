#include "textflag.h"

// The code of the trampoline, see trampoline.go. It is never called: its bytes
// are copied into an executable of their own, so it uses no data, no stack of
// Go's and no symbol but itself.
//
// On entry the stack is that of a new process (System V ABI): argc, the
// arguments, NULL, the environment, NULL. The arguments are paths to try, an
// empty string, and then those of the program to execute.
TEXT ·trampoline(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ SP, BX
	MOVQ (BX), AX            // argc
	LEAQ 16(BX)(AX*8), R14   // the environment
	ADDQ $8, BX              // the next path
	MOVQ BX, R12
	MOVQ $2, R15             // ENOENT, until something else is met
separator:
	MOVQ (R12), DI
	TESTQ DI, DI
	JEQ  report              // an image had it executed once more
	ADDQ $8, R12
	CMPB (DI), $0
	JNE  separator
	// R12: the program's arguments. The report closes on exec.
	MOVQ $72, AX             // fcntl
	MOVQ $3, DI              // ErrorFD
	MOVQ $2, SI              // F_SETFD
	MOVQ $1, DX              // FD_CLOEXEC
	SYSCALL
next:
	MOVQ (BX), DI
	ADDQ $8, BX
	CMPB (DI), $0
	JEQ  report
	MOVQ R12, SI
	MOVQ R14, DX
	MOVQ $59, AX             // execve
	SYSCALL
	NEGQ AX
	CMPQ AX, $2              // ENOENT
	JEQ  next
	CMPQ AX, $20             // ENOTDIR
	JEQ  next
	MOVQ AX, R15
	CMPQ AX, $13             // EACCES: remembered, and the next path tried
	JEQ  next
report:
	SUBQ $16, SP
	MOVQ $-1, AX             // byTrampoline
	MOVQ AX, (SP)
	MOVQ R15, 8(SP)
	MOVQ $1, AX              // write
	MOVQ $3, DI
	MOVQ SP, SI
	MOVQ $16, DX
	SYSCALL
	MOVQ $231, AX            // exit_group
	MOVQ $126, DI
	SYSCALL
	INT  $3

// Where the code ends.
TEXT ·trampolineEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func trap()
TEXT ·trap(SB), NOSPLIT|NOFRAME, $0-0
	INT  $3
	RET

// func trampolineCode() (start, end unsafe.Pointer)
TEXT ·trampolineCode(SB), NOSPLIT, $0-16
	LEAQ ·trampoline(SB), AX
	MOVQ AX, start+0(FP)
	LEAQ ·trampolineEnd(SB), AX
	MOVQ AX, end+8(FP)
	RET
