package hosts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// denyKey is the variable that holds the rules of a filter.
const denyKey = "HOSTS_DENY"

// deny installs the filter and becomes the command. It needs root, for without
// no_new_privs nobody else may.
func deny() error {
	var rules []Denial
	if err := json.Unmarshal([]byte(os.Getenv(denyKey)), &rules); err != nil {
		return err
	}
	code, err := program(rules)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(os.Args[1])
	if err != nil {
		return err
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, stageKey+"=") && !strings.HasPrefix(v, denyKey+"=") {
			env = append(env, v)
		}
	}
	runtime.LockOSThread() // the filter is of the thread that becomes the command
	filter := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return unix.Exec(path, os.Args[1:], env)
}

// program is the filter: each rule is looked at in turn.
func program(rules []Denial) ([]unix.SockFilter, error) {
	const number, firstArgument = 0, 16 // struct seccomp_data
	code := []unix.SockFilter{}
	for _, r := range rules {
		nr, err := callNumber(r.Call)
		if err != nil {
			return nil, err
		}
		refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(r.Errno)}
		code = append(code, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number})
		if r.Flag == 0 {
			code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1}, refuse)
			continue
		}
		code = append(code,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 3},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArgument},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: r.Flag, Jf: 1},
			refuse)
	}
	return append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}), nil
}

func callNumber(name string) (uint32, error) {
	column := map[string]int{"amd64": 0, "arm64": 3}[runtime.GOARCH]
	for _, c := range syscalls.Table {
		if c.Name == name && c.Numbers[column] >= 0 {
			return uint32(c.Numbers[column]), nil
		}
	}
	return 0, fmt.Errorf("no system call %s", name)
}
