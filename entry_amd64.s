#include "textflag.h"

// Where the kernel starts the program that make builds (-E main.entry). Go's runtime ends
// in a stack trace before main where it gets no address space or no threads, so that two
// limits are looked at before it begins: prlimit64(2), write(2) and exit_group(2).
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	// Address space, for anybody.
	MOVQ $302, AX
	XORL DI, DI
	MOVL $9, SI // RLIMIT_AS
	XORL DX, DX
	LEAQ -64(SP), R10
	SYSCALL
	TESTQ AX, AX
	JNE  threads
	MOVQ $·leastSpace(SB), BX
	MOVQ (BX), BX
	LEAQ ·spaceMessage(SB), R8
	CMPQ -64(SP), BX
	JCS  refuse

threads:
	// Threads, for whom the limit holds: root has no such one.
	MOVQ $102, AX // getuid
	SYSCALL
	TESTQ AX, AX
	JEQ  start
	MOVQ $302, AX
	XORL DI, DI
	MOVL $6, SI // RLIMIT_NPROC
	XORL DX, DX
	LEAQ -64(SP), R10
	SYSCALL
	TESTQ AX, AX
	JNE  start
	MOVQ $·leastThreads(SB), BX
	MOVQ (BX), BX
	LEAQ ·threadsMessage(SB), R8
	CMPQ -64(SP), BX
	JCC  start

refuse:
	MOVQ $1, AX
	MOVL $2, DI
	MOVQ 0(R8), SI
	MOVQ 8(R8), DX
	SYSCALL
	MOVQ $231, AX
	MOVL $125, DI
	SYSCALL

start:
	JMP _rt0_amd64_linux(SB)
