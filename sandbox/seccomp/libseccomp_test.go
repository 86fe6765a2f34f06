package seccomp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
	"rootlet/internal/testenv"
)

// exporter builds the program that has libseccomp make a filter.
func exporter(t *testing.T) string {
	t.Helper()
	gcc := testenv.NeedProgram(t, "gcc")
	if _, err := os.Stat("/usr/include/seccomp.h"); err != nil {
		testenv.Skip(t, "libseccomp-dev")
	}
	program := filepath.Join(t.TempDir(), "export")
	if out, err := exec.Command(gcc, "-Wall", "-o", program, "testdata/libseccomp.c", "-lseccomp").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return program
}

// export has libseccomp make the profile into a filter. unknown are calls that it is too
// old for.
func export(t *testing.T, program string, p *Profile, m Machine) (code []unix.SockFilter, unknown []string) {
	t.Helper()
	var in strings.Builder
	for _, a := range p.covers(m) {
		fmt.Fprintln(&in, "arch", [...]string{"x86_64", "x86", "x32", "aarch64", "arm"}[a])
	}
	ops := map[specs.LinuxSeccompOperator]int{ // enum scmp_compare
		opNotEqual: 1, opLessThan: 2, opLessEqual: 3, opEqualTo: 4, opGreaterEqual: 5, opGreaterThan: 6, opMaskedEqual: 7,
	}
	for _, r := range p.on(m) {
		if r.verdict == p.fallback {
			continue // libseccomp takes it for a mistake
		}
		for _, name := range r.names {
			fmt.Fprintf(&in, "rule %#x %s", uint32(r.verdict), name)
			for _, c := range r.conditions {
				a, b := c.value, uint64(0)
				if c.op == opMaskedEqual {
					a, b = c.mask, c.value
				}
				fmt.Fprintf(&in, " %d %d %#x %#x", c.index, ops[c.op], a, b)
			}
			fmt.Fprintln(&in)
		}
	}
	c := exec.Command(program, fmt.Sprintf("%#x", uint32(p.fallback)))
	var stderr bytes.Buffer
	c.Stdin, c.Stderr = strings.NewReader(in.String()), &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		unknown = append(unknown, strings.Fields(line)[1])
	}
	code = make([]unix.SockFilter, len(out)/8)
	if err := binary.Read(bytes.NewReader(out), binary.LittleEndian, code); err != nil {
		t.Fatal(err)
	}
	return code, unknown
}

// random is a call that could fall on either side of a rule.
func random(r *rand.Rand, m Machine) data {
	own := m.runs()
	d := data{arch: own[r.IntN(len(own))].audit(), nr: r.Uint32N(600)}
	if r.IntN(50) == 0 {
		d.arch = audits[r.IntN(len(audits))]
	}
	switch r.IntN(20) {
	case 0:
		d.nr = r.Uint32()
	case 1:
		d.nr = 0xf0000 + r.Uint32N(8)
	case 2: // those that there are most conditions about
		d.nr = [...]uint32{16, 41, 56, 135, 198, 220, 92, 29, 359, 120, 136, 54, 281}[r.IntN(13)]
	case 3, 4, 5, 6:
		d.nr |= x32Bit
	}
	for i := range d.args {
		switch r.IntN(5) {
		case 0:
			d.args[i] = uint64(r.Uint32N(64))
		case 1:
			d.args[i] = 1 << r.UintN(64)
		case 2:
			d.args[i] = [...]uint64{8, 0x20000, 0x20008, 0xffffffff, ^uint64(0), 0x5412, 0x541c, 0x7e020000}[r.IntN(8)]
		case 3:
			d.args[i] = r.Uint64() & r.Uint64() & r.Uint64()
		}
		if r.IntN(8) == 0 {
			d.args[i] |= r.Uint64() << 32
		}
	}
	return d
}

// A million calls fare by our filter as by libseccomp's of the same profile, and as the
// profile says when it is read rule by rule.
func TestLibseccompAgrees(t *testing.T) {
	testenv.Whoever(t)
	program := exporter(t)
	p := docker(t)
	rng := rand.New(rand.NewPCG(1, 2))
	compared, theirsTook, oursTook := 0, 0, 0
	for _, m := range machines() {
		ours, oracle := compiled(t, p, m), newOracle(p, m)
		theirs, unknown := export(t, program, p, m)
		t.Logf("%s: %d instructions, libseccomp's %d; it does not know %v", m.Arch, len(ours), len(theirs), unknown)
		for range 1_020_000 / len(machines()) {
			d := random(rng, m)
			got, took, err := run(ours, d)
			if err != nil {
				t.Fatal(err)
			}
			want, theyTook, err := run(theirs, d)
			if err != nil {
				t.Fatal(err)
			}
			oursTook, theirsTook = oursTook+took, theirsTook+theyTook
			a, known := archOf(m, d)
			switch {
			case known && int64(d.nr) > oracle.highest[a]:
				want = noSuch // runc's addition, and ours
			case known && slices.ContainsFunc(unknown, func(name string) bool { i, ok := find(name); return ok && syscalls.Table[i].Numbers[a] == int32(d.nr) }):
				continue
			}
			if got != want {
				t.Fatalf("%s %v: %+v: %v, libseccomp says %v", m.Arch, a, d, got, want)
			}
			compared++
			if got != oracle.verdict(d) {
				t.Fatalf("%s %v: %+v: %v, the profile says %v", m.Arch, a, d, got, oracle.verdict(d))
			}
		}
	}
	t.Logf("%d calls; %d instructions each, libseccomp's %d", compared, oursTook/compared, theirsTook/compared)
}

// Profiles nobody would write: any condition about any argument.
func TestLibseccompAgreesOnOtherProfiles(t *testing.T) {
	testenv.Whoever(t)
	program := exporter(t)
	rng := rand.New(rand.NewPCG(3, 4))
	ops := []specs.LinuxSeccompOperator{opNotEqual, opLessThan, opLessEqual, opEqualTo, opGreaterEqual, opGreaterThan, opMaskedEqual}
	for range 60 {
		p := &Profile{fallback: allowed, archMap: docker(t).archMap}
		other := refused
		if rng.IntN(2) == 0 {
			p.fallback, other = refused, allowed
		}
		for range 1 + rng.IntN(8) {
			r := rule{names: []string{"mmap", "brk"}, verdict: other} // without ints: there we are stricter
			for _, index := range rng.Perm(6)[:rng.IntN(3)] {
				c := condition{index: index, op: ops[rng.IntN(len(ops))], value: uint64(rng.Uint32() >> rng.UintN(32))}
				if c.op == opMaskedEqual {
					c.mask = uint64(rng.Uint32() >> rng.UintN(32))
					c.value &= c.mask
				}
				r.conditions = append(r.conditions, c)
			}
			p.rules = append(p.rules, r)
		}
		m := machines()[0]
		ours := compiled(t, p, m)
		theirs, _ := export(t, program, p, m)
		for range 500 {
			d := random(rng, m)
			d.nr = [...]uint32{9, 12, 90, 45, 9 | x32Bit}[rng.IntN(5)]
			for i := range d.args {
				if r := p.rules[rng.IntN(len(p.rules))]; len(r.conditions) > 0 && rng.IntN(2) == 0 {
					d.args[i] = r.conditions[0].value + uint64(rng.IntN(3)) - 1
				}
			}
			got, _, _ := run(ours, d)
			want, _, err := run(theirs, d)
			if err != nil {
				t.Fatal(err)
			}
			if a, _ := archOf(m, d); got != want && int64(d.nr) <= newOracle(p, m).highest[a] {
				t.Fatalf("%+v\n%+v: %v, libseccomp says %v", p.rules, d, got, want)
			}
		}
	}
}
