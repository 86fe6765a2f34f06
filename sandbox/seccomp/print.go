package seccomp

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// String shows the program, an instruction a line, with what each compares.
func (f Filter) String() string {
	var b strings.Builder
	at := make([]context, len(f.Code)+1)
	for pc, i := range f.Code {
		c := at[pc]
		fmt.Fprintf(&b, "%4d  %s\n", pc, c.show(pc, i))
		if i.Code&7 == unix.BPF_RET {
			continue
		}
		yes, no := c.after(i)
		jumps := targets(pc, i)
		at[min(jumps[0], len(f.Code))] = yes
		at[min(jumps[1], len(f.Code))] = no
	}
	return b.String()
}

// targets are where it goes on: where a comparison holds, and where it does not.
func targets(pc int, i unix.SockFilter) [2]int {
	switch {
	case i.Code == opJump:
		return [2]int{pc + 1 + int(i.K), pc + 1 + int(i.K)}
	case i.Code&7 == unix.BPF_JMP:
		return [2]int{pc + 1 + int(i.Jt), pc + 1 + int(i.Jf)}
	}
	return [2]int{pc + 1, pc + 1}
}

// context is what is known at an instruction, by whatever way one comes there: a
// program of ours has one meaning at each place.
type context struct {
	loaded string // what was loaded last
	machine
}

// machine is what the comparisons before have left of the architectures.
type machine struct {
	arch  arch
	known bool
}

// after is what is known after an instruction.
func (c context) after(i unix.SockFilter) (yes, no context) {
	yes, no = c, c
	switch {
	case i.Code == opLoad:
		yes.loaded = name(i.K)
	case i.Code == opAnd:
		yes.loaded = fmt.Sprintf("%s & %#x", c.loaded, i.K)
	case i.Code == opIs && c.loaded == name(offsetArch):
		for _, a := range []arch{amd64, i386, arm64, arm} {
			if a.audit() == i.K {
				yes.machine = machine{a, true}
			}
		}
		return yes, no
	case i.Code == opFrom && c.loaded == name(offsetNumber) && i.K == x32Bit && c.arch == amd64:
		yes.arch = x32
		return yes, no
	case i.Code&7 == unix.BPF_JMP:
		return yes, no
	}
	return yes, yes
}

// name is what is at an offset of seccomp_data.
func name(offset uint32) string {
	switch {
	case offset == offsetNumber:
		return "call"
	case offset == offsetArch:
		return "architecture"
	case offset >= offsetArguments && offset%8 == 4:
		return fmt.Sprintf("argument %d (high half)", (offset-offsetArguments)/8)
	case offset >= offsetArguments:
		return fmt.Sprintf("argument %d", (offset-offsetArguments)/8)
	}
	return fmt.Sprintf("data[%d]", offset)
}

// operator is a comparison's.
func operator(op uint16) string {
	switch op {
	case opIs:
		return "=="
	case opOver:
		return ">"
	}
	return ">="
}

func (c context) show(pc int, i unix.SockFilter) string {
	jumps := targets(pc, i)
	switch {
	case i.Code == opLoad:
		return "load " + name(i.K)
	case i.Code == opAnd:
		return fmt.Sprintf("and %#x", i.K)
	case i.Code == opJump:
		return fmt.Sprintf("go to %d", jumps[0])
	case i.Code == opRet:
		return "return " + verdict(i.K).String()
	}
	return fmt.Sprintf("if %s %s %s go to %d, else %d", c.loaded, operator(i.Code), c.constant(i.K), jumps[0], jumps[1])
}

// constant shows a number that is compared with, with its name where it has one.
func (c context) constant(k uint32) string {
	switch c.loaded {
	case name(offsetArch):
		for _, a := range []arch{amd64, i386, arm64, arm} {
			if a.audit() == k {
				return fmt.Sprintf("%#x (%v)", k, a)
			}
		}
	case name(offsetNumber):
		if !c.known || c.arch == amd64 && k == x32Bit {
			break
		}
		at := slices.IndexFunc(syscalls.Table[:], func(n syscalls.Call) bool { return n.Numbers[c.arch] == int32(k) })
		if at < 0 {
			return fmt.Sprintf("%d (%v)", k&^x32Bit, c.arch)
		}
		return fmt.Sprintf("%d (%v %s)", k&^x32Bit, c.arch, syscalls.Table[at].Name)
	}
	if k > 0xffff {
		return fmt.Sprintf("%#x", k)
	}
	return fmt.Sprintf("%d", k)
}

// String names a verdict as profiles do.
func (v verdict) String() string {
	data := uint32(v &^ actionBits)
	for _, a := range actions {
		if a.verdict != v&actionBits {
			continue
		}
		if v&actionBits == unix.SECCOMP_RET_ERRNO {
			return fmt.Sprintf("%s %s", a.name, unix.ErrnoName(unix.Errno(data)))
		}
		if data != 0 {
			return fmt.Sprintf("%s %d", a.name, data)
		}
		return string(a.name)
	}
	return fmt.Sprintf("%#x", uint32(v))
}
