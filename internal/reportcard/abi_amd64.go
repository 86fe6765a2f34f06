package reportcard

import "golang.org/x/sys/unix"

// abis are the ways to make system calls on this machine.
var abis = []abi{
	{"x86-64", 0, raw},
	{"i386", 1, int80},
	{"x32", 2, raw},
}

// int80 makes a call of i386's.
//
//go:noescape
func int80(nr, a1, a2, a3, a4, a5, a6 uintptr) (result uintptr)

// other is an architecture whose sockets come by socketcall(2).
var other = map[string]question{
	"i386 socketcall":        {abi: 1, call: "socketcall", args: [5]uintptr{1}},
	"i386 socket AF_ALG":     {abi: 1, call: "socket", args: [5]uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET}},
	"i386 clone, namespaces": {abi: 1, call: "clone", args: [5]uintptr{unix.CLONE_NEWUSER | unix.CLONE_THREAD}},
	"x32 ioctl TIOCSTI":      {abi: 2, call: "ioctl", args: [5]uintptr{0, unix.TIOCSTI}},
}
