#include "textflag.h"

// See entry_amd64.s. The message is in R5.
#define LIMIT(resource, least, message, passes) \
	MOVD $0, R0; \
	MOVD $resource, R1; \
	MOVD $0, R2; \
	SUB  $64, RSP, R3; \
	MOVD $261, R8; \
	SVC; \
	CBNZ R0, passes; \
	MOVD least(SB), R4; \
	MOVD $message(SB), R5; \
	SUB  $64, RSP, R3; \
	MOVD (R3), R6; \
	CMP  R4, R6

TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	LIMIT(9, ·leastSpace, ·spaceMessage, threads)
	BLO  refuse

threads:
	MOVD $174, R8 // getuid
	SVC
	CBZ  R0, start
	LIMIT(6, ·leastThreads, ·threadsMessage, start)
	BHS  start

refuse:
	MOVD $2, R0
	MOVD 0(R5), R1
	MOVD 8(R5), R2
	MOVD $64, R8
	SVC
	MOVD $125, R0
	MOVD $94, R8 // exit_group
	SVC

start:
	B _rt0_arm64_linux(SB)
