package seccomp

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	profiles "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func parsed(t testing.TB, text string) *Profile {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseReadsDockersOwn(t *testing.T) {
	text, err := json.MarshalIndent(profiles.DefaultProfile(), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed(t, string(text)); !reflect.DeepEqual(got.rules, docker(t).rules) || got.fallback != refused {
		t.Error("what was written of Docker's profile is read as another")
	}
}

func TestParseReadsPodmansWords(t *testing.T) {
	p := parsed(t, `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS", "archMap": [], "syscalls": [
		{"names": ["bdflush"], "action": "SCMP_ACT_ERRNO", "args": [], "comment": "", "includes": {}, "excludes": {}, "errnoRet": 1, "errno": "EPERM"}]}`)
	if p.fallback != noSuch || p.rules[0].verdict != refused {
		t.Errorf("%v, %v", p.fallback, p.rules[0].verdict)
	}
}

func TestParseNamesTheLine(t *testing.T) {
	const head = "{\n\t\"defaultAction\": \"SCMP_ACT_ERRNO\",\n"
	for _, c := range []struct {
		text, want string
		line       int
	}{
		{"", "unexpected end", 1},
		{"[]", `want "{" here`, 1},
		{"{\n\"defaultAction\": nothing}", "invalid character", 2},
		{"{\n\n\"defaultAction\": 7}", "a number does not go there", 3},
		{"{\n\"defaultAction\": \"ALLOW\"}", `defaultAction: "ALLOW": no such action`, 2},
		{"{\n\"syscalls\": []}", "defaultAction: none given", 1},
		{head + "\"sycalls\": []}", `unknown field "sycalls"`, 3},
		{head + "\"flags\": [\"FAST\"]}", `flag "FAST": no such flag`, 3},
		{head + "\"architectures\": [\"SCMP_ARCH_X86\"],\n\"archMap\": [{\"architecture\": \"SCMP_ARCH_X86_64\"}]}", "both architectures and archMap", 1},
		{head + "\"syscalls\": [\n{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"},\n{\"names\": [\"write\"], \"action\": \"SCMP_ACT_MAYBE\"}]}", `action: "SCMP_ACT_MAYBE": no such action`, 5},
		{head + "\"syscalls\": [\n{\"names\": [\"read\"], \"action\": \"SCMP_ACT_NOTIFY\"}]}", "no one to notify", 4},
		{head + "\"syscalls\": [\n{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 4096}]}", "at most 4095", 4},
		{head + "\"syscalls\": [\n\n{\"action\": \"SCMP_ACT_ALLOW\"}]}", "a rule without names", 5},
		{head + "\"syscalls\": [\n{\"name\": \"a\", \"names\": [\"b\"], \"action\": \"SCMP_ACT_ALLOW\"}]}", "both name and names", 4},
		{head + "\"syscalls\": [\n{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"arg\": []}]}", `unknown field "arg"`, 4},
		{head + "\"syscalls\": [\n{\"names\": \"read\", \"action\": \"SCMP_ACT_ALLOW\"}]}", "a string does not go there", 4},
		{head + "\"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 6, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]}", "arguments 0 to 5", 3},
		{head + "\"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 1, \"value\": 1, \"op\": \"EQ\"}]}]}", `op "EQ": no such comparison`, 3},
		{head + "\"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": {\"minKernel\": \"four\"}}]}", "invalid kernel version", 3},
		{strings.Repeat(" ", MaxSize+1), "a profile may have", 1},
	} {
		_, err := Parse([]byte(c.text))
		var wrong *LineError
		if !errors.As(err, &wrong) || wrong.Line != c.line || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.200s\n%v; want line %d: %s", c.text, err, c.line, c.want)
		}
	}
}

// Whatever is in a file: it is refused with a line, or it is a filter that says what the
// file says.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X32"]}],
		"syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_LT"}]}]}`), uint32(41), uint64(38), uint64(0x5412))
	f.Add([]byte(`{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86"], "flags": [], "syscalls": [
		{"names": ["read", "ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_GT"}, {"index": 1, "value": 12884901891, "op": "SCMP_CMP_NE"}]},
		{"name": "ioctl", "action": "SCMP_ACT_TRAP", "args": [{"index": 1, "value": 255, "valueTwo": 18, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"name": "read", "action": "SCMP_ACT_TRACE", "excludes": {"caps": ["CAP_KILL"], "arches": ["arm"]}, "includes": {"minKernel": "4.8"}}]}`), uint32(16), uint64(0), uint64(1)<<40|18)
	f.Fuzz(func(t *testing.T, text []byte, nr uint32, x, y uint64) {
		p, err := Parse(text)
		if err != nil {
			var wrong *LineError
			if !errors.As(err, &wrong) || wrong.Line < 1 || wrong.Line > 1+strings.Count(string(text), "\n") {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, m := range machines()[:4] {
			filter, err := p.Compile(m)
			if err != nil {
				continue // too long
			}
			checkLoadable(t, filter.Code)
			oracle := newOracle(p, m)
			for _, audit := range audits {
				for _, d := range []data{{nr, audit, [6]uint64{x, y, x, y, x, y}}, {nr | x32Bit, audit, [6]uint64{y, x}}, {uint32(x) % 600, audit, [6]uint64{y, x, y}}} {
					if got, _, err := run(filter.Code, d); err != nil || got != oracle.verdict(d) {
						t.Fatalf("%s: %+v: %v, want %v (%v)", m.Arch, d, got, oracle.verdict(d), err)
					}
				}
			}
		}
	})
}

// Rules made of bytes: more of them get through than of random JSON.
func FuzzCompile(f *testing.F) {
	f.Add([]byte("\x00\x10\x01\x00\x00\x05\x03"), uint32(0), uint64(5), uint64(0))
	f.Add([]byte("\x81\x10\x07\x01\xff\x05\x03\x22\x10\x03\x00\x00\x05\x03"), uint32(16), uint64(5), uint64(1)<<33)
	archs := docker(f).archMap
	f.Fuzz(func(t *testing.T, shape []byte, nr uint32, x, y uint64) {
		ops := []specs.LinuxSeccompOperator{opNotEqual, opLessThan, opLessEqual, opEqualTo, opGreaterEqual, opGreaterThan, opMaskedEqual}
		names := []string{"read", "ioctl", "clone", "socket", "mmap", "personality", "set_tls", "nosuch"}
		p := &Profile{fallback: actions[len(shape)%len(actions)].verdict, archMap: archs}
		for ; len(shape) >= 7; shape = shape[7:] {
			r := rule{names: names[shape[0]%8:], verdict: actions[int(shape[1])%len(actions)].verdict | 1}
			for i := range int(shape[2] % 4) {
				c := condition{index: (i + int(shape[4])) % 6, op: ops[int(shape[3]+byte(i))%len(ops)], value: uint64(shape[5]) << (shape[6] % 60)}
				if c.op == opMaskedEqual {
					c.mask = x
				}
				r.conditions = append(r.conditions, c)
			}
			p.rules = append(p.rules, r)
		}
		for _, m := range machines()[:4] {
			filter, err := p.Compile(m)
			if err != nil {
				continue
			}
			checkLoadable(t, filter.Code)
			oracle := newOracle(p, m)
			for _, audit := range audits {
				for _, args := range [][6]uint64{{x, y, x, y, x, y}, {y, x, y, x}, {x & 0xff, y & 0xff}} {
					d := data{nr % 600, audit, args}
					if got, _, err := run(filter.Code, d); err != nil || got != oracle.verdict(d) {
						t.Fatalf("%s: %+v: %v, want %v (%v)", m.Arch, d, got, oracle.verdict(d), err)
					}
				}
			}
		}
	})
}
