package sandbox

import (
	"errors"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

func TestFilterFor(t *testing.T) {
	const begins = `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve", "execveat", "fcntl", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"}]}`
	usual, err := filterFor(&record.Spec{}, defaultCaps)
	if err != nil || usual == nil || len(usual.Code) < 100 {
		t.Fatalf("builtin: %v, %v", usual, err)
	}
	for name, c := range map[string]struct {
		profile record.Seccomp
		caps    capSet
		longer  bool // than a few instructions
	}{
		"by name":     {record.Seccomp{Profile: record.Builtin}, defaultCaps, true},
		"privileged":  {record.Seccomp{}, allCaps(), true},
		"from a file": {record.Seccomp{Profile: "/a.json", JSON: []byte(begins)}, 0, false},
	} {
		filter, err := filterFor(&record.Spec{Seccomp: c.profile}, c.caps)
		if err != nil || filter == nil || len(filter.Code) == 0 || len(filter.Code) > 100 != c.longer {
			t.Errorf("%s: %v, %v", name, filter, err)
		}
	}
	if filter, err := filterFor(&record.Spec{Seccomp: record.Seccomp{Profile: record.Unconfined}}, defaultCaps); err != nil || filter != nil {
		t.Errorf("unconfined: %v, %v", filter, err)
	}
}

// The report of a program that could not begin has to come through, and end.
func TestProfilesUnderWhichNothingBegins(t *testing.T) {
	const close = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["%"], "action": "SCMP_ACT_KILL"}]}`
	for _, call := range []string{"execve", "execveat", "fcntl", "write", "exit_group"} {
		_, err := filterFor(&record.Spec{Seccomp: record.Seccomp{Profile: "/a.json", JSON: []byte(strings.ReplaceAll(close, "%", call))}}, defaultCaps)
		var failure *Failure
		if !errors.As(err, &failure) || !strings.Contains(failure.Message, "does not allow "+call+",") {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestHasCap(t *testing.T) {
	if !defaultCaps.has("CAP_CHOWN") || defaultCaps.has("CAP_SYS_ADMIN") || defaultCaps.has("CAP_NONE") || !allCaps().has("CAP_BPF") {
		t.Error("has")
	}
}
