#include "textflag.h"

// The code of the sleeper, see sleeper.go. It is never called: its bytes are
// copied into an executable of their own, so it uses no symbol but itself. Its
// four descriptors lie at firstproc.DataAddress, 0x400078.
//
// On entry the stack is that of a new process (System V ABI): argc, the
// arguments, NULL, the environment, NULL.
TEXT ·sleeper(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ SP, BX
	MOVQ (BX), AX            // argc
	LEAQ 16(BX)(AX*8), R14   // the environment
	LEAQ 8(BX), R12          // the arguments
	SUBQ $192, SP            // room for what the kernel tells, and an empty string
	MOVQ $0x400078, R13
sleep:
	MOVQ $281, AX            // epoll_pwait
	MOVL (R13), DI
	MOVQ SP, SI
	MOVQ $1, DX
	MOVQ $-1, R10            // without a time limit
	XORQ R8, R8              // no signal mask
	MOVQ $8, R9
	SYSCALL
	CMPQ AX, $-4             // EINTR: as after SIGCONT
	JEQ  sleep
	// Go would let a signal that is blocked strike as soon as it starts: it is
	// taken here, and left to be found.
	XORQ AX, AX              // read
	MOVL 8(R13), DI
	MOVQ SP, SI
	MOVQ $128, DX            // sizeof(struct signalfd_siginfo)
	SYSCALL
	CMPQ AX, $0
	JLE  wake
	MOVQ AX, DX
	MOVQ $1, AX              // write
	MOVL 12(R13), DI
	MOVQ SP, SI
	SYSCALL
wake:
	MOVQ $322, AX            // execveat
	MOVL 4(R13), DI
	MOVQ $0, 160(SP)
	LEAQ 160(SP), SI         // ""
	MOVQ R12, DX
	MOVQ R14, R10
	MOVQ $0x1000, R8         // AT_EMPTY_PATH
	SYSCALL
	// No memory, most likely. The container lives on, and what woke us is still
	// there: try again in a moment.
	MOVQ $0, 16(SP)
	MOVQ $100000000, 24(SP)  // a tenth of a second
	MOVQ $35, AX             // nanosleep
	LEAQ 16(SP), DI
	XORQ SI, SI
	SYSCALL
	JMP  sleep

// Where the code ends.
TEXT ·sleeperEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func sleeperCode() (start, end unsafe.Pointer)
TEXT ·sleeperCode(SB), NOSPLIT, $0-16
	LEAQ ·sleeper(SB), AX
	MOVQ AX, start+0(FP)
	LEAQ ·sleeperEnd(SB), AX
	MOVQ AX, end+8(FP)
	RET
