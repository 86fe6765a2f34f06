#include "textflag.h"

// As sleeper_amd64.s.
TEXT ·sleeper(SB), NOSPLIT|NOFRAME, $0-0
	MOVD RSP, R19
	MOVD (R19), R9           // argc
	ADD  $8, R19             // the arguments
	ADD  R9<<3, R19, R20
	ADD  $8, R20             // the environment
	SUB  $192, RSP           // room for what the kernel tells, and an empty string
	MOVD $0x400078, R21
sleep:
	MOVD $22, R8             // epoll_pwait
	MOVWU (R21), R0
	MOVD RSP, R1
	MOVD $1, R2
	MOVD $-1, R3             // without a time limit
	MOVD $0, R4              // no signal mask
	MOVD $8, R5
	SVC
	CMN  $4, R0              // EINTR: as after SIGCONT
	BEQ  sleep
	// Go would let a signal that is blocked strike as soon as it starts: it is
	// taken here, and left to be found.
	MOVD $63, R8             // read
	MOVWU 8(R21), R0
	MOVD RSP, R1
	MOVD $128, R2            // sizeof(struct signalfd_siginfo)
	SVC
	CMP  $0, R0
	BLE  wake
	MOVD R0, R2
	MOVD $64, R8             // write
	MOVWU 12(R21), R0
	MOVD RSP, R1
	SVC
wake:
	MOVD $281, R8            // execveat
	MOVWU 4(R21), R0
	MOVD $0, R9
	MOVD R9, 160(RSP)
	ADD  $160, RSP, R1       // ""
	MOVD R19, R2
	MOVD R20, R3
	MOVD $0x1000, R4         // AT_EMPTY_PATH
	SVC
	// No memory, most likely. The container lives on, and what woke us is still
	// there: try again in a moment.
	MOVD $0, R9
	MOVD R9, 16(RSP)
	MOVD $100000000, R9      // a tenth of a second
	MOVD R9, 24(RSP)
	MOVD $101, R8            // nanosleep
	ADD  $16, RSP, R0
	MOVD $0, R1
	SVC
	B    sleep

// Where the code ends.
TEXT ·sleeperEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func sleeperCode() (start, end unsafe.Pointer)
TEXT ·sleeperCode(SB), NOSPLIT, $0-16
	MOVD $·sleeper(SB), R0
	MOVD R0, start+0(FP)
	MOVD $·sleeperEnd(SB), R0
	MOVD R0, end+8(FP)
	RET
