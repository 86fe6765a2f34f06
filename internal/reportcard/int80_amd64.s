#include "textflag.h"

// func int80(nr, a1, a2, a3, a4, a5, a6 uintptr) (result uintptr)
//
// The sixth argument is in BP, which is Go's frame pointer: the assembler saves it in a
// function with a frame, and it is put back before anybody looks.
TEXT ·int80(SB), NOSPLIT, $8-64
	MOVQ BP, 0(SP)
	MOVQ nr+0(FP), AX
	MOVQ a1+8(FP), BX
	MOVQ a2+16(FP), CX
	MOVQ a3+24(FP), DX
	MOVQ a4+32(FP), SI
	MOVQ a5+40(FP), DI
	MOVQ a6+48(FP), BP
	INT  $0x80
	MOVQ 0(SP), BP
	MOVLQSX AX, AX
	MOVQ AX, result+56(FP)
	RET
