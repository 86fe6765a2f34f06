#include "textflag.h"

// LIMIT compares a limit of the process's with the least that will do, and leaves BX and the
// message in R8 for who goes on. A kernel that does not say lets it pass: prlimit64(2).
#define LIMIT(resource, least, message, passes) \
	MOVQ $302, AX; \
	XORL DI, DI; \
	MOVL $resource, SI; \
	XORL DX, DX; \
	LEAQ -64(SP), R10; \
	SYSCALL; \
	TESTQ AX, AX; \
	JNE  passes; \
	MOVQ $least(SB), BX; \
	MOVQ (BX), BX; \
	LEAQ message(SB), R8; \
	CMPQ -64(SP), BX

// Where the kernel starts the program that make builds (-E main.entry). Go's runtime ends
// in a stack trace before main where it gets no address space or no threads, so that two
// limits are looked at before it begins; what is refused is said by write(2).
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	// RLIMIT_AS: address space, for anybody.
	LIMIT(9, ·leastSpace, ·spaceMessage, threads)
	JCS  refuse

threads:
	// RLIMIT_NPROC: threads, for whom the limit holds: root has no such one.
	MOVQ $102, AX // getuid
	SYSCALL
	TESTQ AX, AX
	JEQ  start
	LIMIT(6, ·leastThreads, ·threadsMessage, start)
	JCC  start

refuse:
	MOVQ $1, AX
	MOVL $2, DI
	MOVQ 0(R8), SI
	MOVQ 8(R8), DX
	SYSCALL
	MOVQ $231, AX // exit_group
	MOVL $125, DI
	SYSCALL

start:
	JMP _rt0_amd64_linux(SB)
