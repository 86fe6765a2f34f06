package seccomp

import (
	"testing"

	"rootlet/internal/testenv"
)

func TestPrint(t *testing.T) {
	p := parsed(t, `{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X32", "SCMP_ARCH_X86"]}], "syscalls": [
		{"names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"names": ["mmap"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "value": 4294967296, "op": "SCMP_CMP_LE"}, {"index": 2, "value": 5, "op": "SCMP_CMP_NE"}]},
		{"names": ["ioctl"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_EQ"}]}]}`)
	filter, err := p.Compile(machines()[0])
	if err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, "print.golden", filter.String())
}
