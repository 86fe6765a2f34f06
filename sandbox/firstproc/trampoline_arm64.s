#include "textflag.h"

// As trampoline_amd64.s.
TEXT ·trampoline(SB), NOSPLIT|NOFRAME, $0-0
	MOVD RSP, R19
	MOVD (R19), R9           // argc
	ADD  $8, R19             // the next path
	ADD  R9<<3, R19, R20
	ADD  $8, R20             // the environment
	MOVD R19, R21
	MOVD $2, R22             // ENOENT, until something else is met
separator:
	MOVD (R21), R9
	CBZ  R9, report          // an image had it executed once more
	ADD  $8, R21
	MOVBU (R9), R10
	CBNZ R10, separator
	// R21: the program's arguments. The report closes on exec.
	MOVD $25, R8             // fcntl
	MOVD $3, R0              // ErrorFD
	MOVD $2, R1              // F_SETFD
	MOVD $1, R2              // FD_CLOEXEC
	SVC
next:
	MOVD (R19), R0
	ADD  $8, R19
	MOVBU (R0), R10
	CBZ  R10, report
	MOVD R21, R1
	MOVD R20, R2
	MOVD $221, R8            // execve
	SVC
	NEG  R0, R0
	CMP  $2, R0              // ENOENT
	BEQ  next
	CMP  $20, R0             // ENOTDIR
	BEQ  next
	MOVD R0, R22
	CMP  $13, R0             // EACCES: remembered, and the next path tried
	BEQ  next
report:
	SUB  $16, RSP
	MOVD $-1, R9             // byTrampoline
	MOVD R9, (RSP)
	MOVD R22, 8(RSP)
	MOVD $64, R8             // write
	MOVD $3, R0
	MOVD RSP, R1
	MOVD $16, R2
	SVC
	MOVD $94, R8             // exit_group
	MOVD $126, R0
	SVC
	BRK

// Where the code ends.
TEXT ·trampolineEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func trap()
TEXT ·trap(SB), NOSPLIT|NOFRAME, $0-0
	BRK
	RET

// func trampolineCode() (start, end unsafe.Pointer)
TEXT ·trampolineCode(SB), NOSPLIT, $0-16
	MOVD $·trampoline(SB), R0
	MOVD R0, start+0(FP)
	MOVD $·trampolineEnd(SB), R0
	MOVD R0, end+8(FP)
	RET
