#include "textflag.h"

// See entry_amd64.s.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVD $0, R0
	MOVD $9, R1 // RLIMIT_AS
	MOVD $0, R2
	SUB  $64, RSP, R3
	MOVD $261, R8
	SVC
	CBNZ R0, threads
	MOVD ·leastSpace(SB), R4
	MOVD $·spaceMessage(SB), R5
	SUB  $64, RSP, R3
	MOVD (R3), R6
	CMP  R4, R6
	BLO  refuse

threads:
	MOVD $174, R8 // getuid
	SVC
	CBZ  R0, start
	MOVD $0, R0
	MOVD $6, R1 // RLIMIT_NPROC
	MOVD $0, R2
	SUB  $64, RSP, R3
	MOVD $261, R8
	SVC
	CBNZ R0, start
	MOVD ·leastThreads(SB), R4
	MOVD $·threadsMessage(SB), R5
	SUB  $64, RSP, R3
	MOVD (R3), R6
	CMP  R4, R6
	BHS  start

refuse:
	MOVD $2, R0
	MOVD 0(R5), R1
	MOVD 8(R5), R2
	MOVD $64, R8
	SVC
	MOVD $125, R0
	MOVD $94, R8
	SVC

start:
	B _rt0_arm64_linux(SB)
