package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// data is struct seccomp_data (seccomp(2)): what a filter knows of a call.
type data struct {
	nr, arch uint32
	args     [6]uint64
}

func (d data) load(offset uint32) uint32 {
	switch argument := d.args[(offset-offsetArguments)/8%6]; {
	case offset == offsetNumber:
		return d.nr
	case offset == offsetArch:
		return d.arch
	case offset < offsetArguments:
		return 0 // of the instruction pointer
	case offset%8 == 4:
		return uint32(argument >> 32)
	default:
		return uint32(argument)
	}
}

// run is the kernel's part: what a filter says of a call. steps is how many
// instructions it took.
func run(code []unix.SockFilter, d data) (v verdict, steps int, err error) {
	var loaded uint32
	for pc := 0; pc < len(code); pc++ {
		steps++
		i := code[pc]
		var holds bool
		switch i.Code {
		case opLoad:
			loaded = d.load(i.K)
			continue
		case opAnd:
			loaded &= i.K
			continue
		case opJump:
			pc += int(i.K)
			continue
		case opRet:
			return verdict(i.K), steps, nil
		case opIs:
			holds = loaded == i.K
		case opOver:
			holds = loaded > i.K
		case opFrom:
			holds = loaded >= i.K
		default:
			return 0, steps, fmt.Errorf("%d: unknown instruction %#x", pc, i.Code)
		}
		if holds {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	return 0, steps, fmt.Errorf("it ends without a verdict")
}

// Permits says whether a filter lets a call of the machine's own architecture through.
func (f Filter) Permits(m Machine, name string, args ...uint64) bool {
	a := m.runs()[0]
	i, known := find(name)
	if !known || syscalls.Table[i].Numbers[a] < 0 {
		return false
	}
	d := data{nr: uint32(syscalls.Table[i].Numbers[a]), arch: a.audit()}
	copy(d.args[:], args)
	v, _, err := run(f.Code, d)
	return err == nil && (v.rank() == unix.SECCOMP_RET_ALLOW || v.rank() == unix.SECCOMP_RET_LOG)
}
