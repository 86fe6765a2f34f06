package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// asm lays out a program from its end to its beginning, since jumps go forward only
// and can so be told where to: a label is there before what jumps to it.
type asm struct {
	code []unix.SockFilter // the last instruction first
	rets []label           // returns that are there
}

// label is an instruction, as the number of instructions laid out before it.
type label int

// reach is how far a comparison can jump: its offsets have 8 bits.
const reach = 255

// Offsets in struct seccomp_data (seccomp(2)); both machines store the low half first.
const (
	offsetNumber    = 0
	offsetArch      = 4
	offsetArguments = 16
)

const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opJump = unix.BPF_JMP | unix.BPF_JA
	opIs   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opOver = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opFrom = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opRet  = unix.BPF_RET | unix.BPF_K
)

// Comparisons, as profiles have them.
const (
	opEqualTo      = specs.OpEqualTo
	opNotEqual     = specs.OpNotEqual
	opLessThan     = specs.OpLessThan
	opLessEqual    = specs.OpLessEqual
	opGreaterEqual = specs.OpGreaterEqual
	opGreaterThan  = specs.OpGreaterThan
	opMaskedEqual  = specs.OpMaskedEqual
)

// assemble puts the tables of a machine's architectures together. foreign is the verdict
// on a program of any other one, ofX32 that on x32's.
func assemble(archs []arch, tables [][]span, foreign, ofX32 verdict) []unix.SockFilter {
	var a asm
	next := a.ret(foreign)
	for i := len(archs) - 1; i >= 0; i-- {
		if archs[i] == x32 {
			continue // it is a part of amd64
		}
		numbers := a.tree(tables[i])
		if archs[i] == amd64 {
			beyond := a.ret(ofX32)
			for j, also := range archs {
				if also == x32 {
					beyond = a.tree(tables[j])
				}
			}
			numbers = a.jump(opFrom, x32Bit, beyond, numbers)
		}
		a.before(numbers)
		block := a.put(opLoad, offsetNumber)
		next = a.jump(opIs, archs[i].audit(), block, next)
	}
	a.before(next)
	a.put(opLoad, offsetArch)
	program := make([]unix.SockFilter, len(a.code))
	for i, instruction := range a.code {
		program[len(a.code)-1-i] = instruction
	}
	return program
}

// tree finds the span that the number is in, by halves.
func (a *asm) tree(spans []span) label {
	if len(spans) == 1 {
		return a.outcome(spans[0].outcome)
	}
	half := len(spans) / 2
	above := a.tree(spans[half:])
	below := a.tree(spans[:half])
	return a.jump(opFrom, spans[half].from, above, below)
}

func (a *asm) outcome(o outcome) label {
	next := a.ret(o.verdict)
	for end := len(o.rules); end > 0; {
		begin := end - 1
		for begin > 0 && alike(o.rules[begin-1], o.rules[end-1]) {
			begin--
		}
		next = a.rules(o.rules[begin:end], next)
		end = begin
	}
	return next
}

// alike says whether two rules want the same argument to be a certain small number, or
// below one, so that it need be loaded only once for both.
func alike(r, as rule) bool {
	return r.verdict == as.verdict && r.small() && as.small() &&
		r.conditions[0].index == as.conditions[0].index && r.conditions[0].low == as.conditions[0].low
}

func (r rule) small() bool {
	c := r.conditions[0]
	return len(r.conditions) == 1 && c.value>>32 == 0 && (c.op == opEqualTo || c.op == opLessThan || c.op == opLessEqual)
}

// rules are some that are alike, or a single one; none of them holding, it goes on at
// next.
func (a *asm) rules(rules []rule, next label) label {
	then := a.ret(rules[0].verdict)
	if !rules[0].small() {
		at := then
		for i := len(rules[0].conditions) - 1; i >= 0; i-- {
			at = a.condition(rules[0].conditions[i], at, next)
		}
		return at
	}
	at := next
	for i := len(rules) - 1; i >= 0; i-- {
		at = a.compare(rules[i].conditions[0], then, at)
	}
	first := rules[0].conditions[0]
	a.before(at)
	at = a.put(opLoad, first.at())
	if !first.low {
		a.jump(opIs, 0, at, next)
		at = a.put(opLoad, first.at()+4)
	}
	return at
}

// at is where in seccomp_data the low half of the argument is.
func (c condition) at() uint32 { return offsetArguments + 8*uint32(c.index) }

// compare compares the low half, which is loaded.
func (a *asm) compare(c condition, yes, no label) label {
	low := uint32(c.value)
	switch c.op {
	case opEqualTo:
		return a.jump(opIs, low, yes, no)
	case opNotEqual:
		return a.jump(opIs, low, no, yes)
	case opGreaterThan:
		return a.jump(opOver, low, yes, no)
	case opLessEqual:
		return a.jump(opOver, low, no, yes)
	case opGreaterEqual:
		return a.jump(opFrom, low, yes, no)
	case opLessThan:
		return a.jump(opFrom, low, no, yes)
	}
	at := a.jump(opIs, low, yes, no)
	if uint32(c.mask) != ^uint32(0) {
		a.before(at)
		at = a.put(opAnd, uint32(c.mask))
	}
	return at
}

// condition compares a whole argument.
func (a *asm) condition(c condition, yes, no label) label {
	high := uint32(c.value >> 32)
	if c.op == opMaskedEqual {
		return a.masked(c, yes, no)
	}
	if c.low && high != 0 {
		// A number of 32 bits is below this one, whatever it is.
		if c.op == opLessThan || c.op == opLessEqual || c.op == opNotEqual {
			return yes
		}
		return no
	}
	at := a.compare(c, yes, no)
	a.before(at)
	at = a.put(opLoad, c.at())
	if c.low {
		return at
	}
	switch c.op {
	case opEqualTo:
		at = a.jump(opIs, high, at, no)
	case opNotEqual:
		at = a.jump(opIs, high, at, yes)
	case opGreaterThan, opGreaterEqual:
		at = a.jump(opIs, high, at, no)
		at = a.jump(opOver, high, yes, at)
	case opLessThan, opLessEqual:
		at = a.jump(opIs, high, at, yes)
		at = a.jump(opOver, high, no, at)
	}
	a.before(at)
	return a.put(opLoad, c.at()+4)
}

// masked is a comparison of some of the bits.
func (a *asm) masked(c condition, yes, no label) label {
	if c.low {
		c.mask &= 0xffffffff
	}
	if c.value&^c.mask != 0 {
		return no // it wants bits that it takes away
	}
	at := a.compare(c, yes, no)
	a.before(at)
	at = a.put(opLoad, c.at())
	if high := uint32(c.mask >> 32); high != 0 {
		a.jump(opIs, uint32(c.value>>32), at, no)
		if high != ^uint32(0) {
			a.put(opAnd, high)
		}
		at = a.put(opLoad, c.at()+4)
	}
	return at
}

// put appends, which is to say prepends, an instruction that the one put last follows.
func (a *asm) put(op uint16, k uint32) label {
	a.code = append(a.code, unix.SockFilter{Code: op, K: k})
	return label(len(a.code) - 1)
}

// ret is a return with a verdict: one that is there, if it is near.
func (a *asm) ret(v verdict) label {
	for i, at := range a.rets {
		if a.code[at].K == uint32(v) {
			if a.distance(at) > reach/2 {
				a.rets[i] = a.put(opRet, uint32(v))
			}
			return a.rets[i]
		}
	}
	at := a.put(opRet, uint32(v))
	a.rets = append(a.rets, at)
	return at
}

// jump puts a comparison with what is loaded. What is too far away for it is brought
// near first, which may take the other one out of reach.
func (a *asm) jump(op uint16, k uint32, yes, no label) label {
	for {
		switch {
		case a.distance(yes) > reach:
			yes = a.relay(yes)
		case a.distance(no) > reach:
			no = a.relay(no)
		default:
			jt, jf := uint8(a.distance(yes)), uint8(a.distance(no))
			a.code = append(a.code, unix.SockFilter{Code: op, Jt: jt, Jf: jf, K: k})
			return label(len(a.code) - 1)
		}
	}
}

// relay is the same as a label, near.
func (a *asm) relay(to label) label {
	if a.code[to].Code == opRet {
		return a.ret(verdict(a.code[to].K))
	}
	return a.put(opJump, uint32(a.distance(to)))
}

// before makes a label the instruction that follows what is put next.
func (a *asm) before(at label) {
	if a.distance(at) != 0 {
		a.put(opJump, uint32(a.distance(at)))
	}
}

// distance is the offset of a jump from the instruction that is put next.
func (a *asm) distance(at label) int { return len(a.code) - 1 - int(at) }
