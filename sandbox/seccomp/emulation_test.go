package seccomp

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// emulates is what root emulation's filter says of a call.
func emulates(t *testing.T, f Filter, a arch, name string, args ...uint64) verdict {
	t.Helper()
	call, known := find(name)
	if !known {
		t.Fatalf("no call %s", name)
	}
	d := data{nr: uint32(syscalls.Table[call].Numbers[a]), arch: a.audit()}
	copy(d.args[:], args)
	v, _, err := run(f.Code, d)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEmulation(t *testing.T) {
	const allow = verdict(unix.SECCOMP_RET_ALLOW)
	all := machineWith("amd64", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_MKNOD")
	remembers, forgets, bare := Emulation(all, true), Emulation(all, false), Emulation(machineWith("amd64"), false)
	for _, c := range []struct {
		arch                     arch
		name                     string
		args                     []uint64
		remembers, forgets, bare verdict
	}{
		{amd64, "chown", nil, notify, pretended, allow},
		{amd64, "fchownat", nil, notify, pretended, allow},
		{amd64, "setresuid", nil, notify, pretended, allow},
		{amd64, "setgroups", nil, notify, pretended, allow},
		{amd64, "capset", nil, notify, pretended, allow},
		{amd64, "mknod", []uint64{0, unix.S_IFCHR | 0o600}, notify, pretended, allow},
		{amd64, "mknodat", []uint64{0, 0, unix.S_IFBLK}, notify, pretended, allow},
		{amd64, "mknodat", []uint64{0, 0, unix.S_IFIFO}, allow, allow, allow},
		{amd64, "mknod", []uint64{0, 0o644}, allow, allow, allow},
		{amd64, "getuid", nil, notify, allow, allow},
		{amd64, "statx", nil, notify, allow, allow},
		{amd64, "mkdir", nil, notify, allow, allow},
		{amd64, "getsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_PEERCRED}, notify, allow, allow},
		{amd64, "getsockopt", []uint64{3, unix.SOL_SOCKET, unix.SO_ERROR}, allow, allow, allow},
		{amd64, "chmod", nil, allow, allow, allow},
		{amd64, "ptrace", nil, allow, allow, allow},
		// What answers does not know how others lay out what they ask for.
		{i386, "chown32", nil, pretended, pretended, allow},
		{i386, "chown", nil, pretended, pretended, allow},
		{i386, "setresuid32", nil, pretended, pretended, allow},
		{i386, "setgroups32", nil, pretended, pretended, allow},
		{i386, "fstatat64", nil, allow, allow, allow},
		{i386, "getuid32", nil, allow, allow, allow},
		{x32, "fchown", nil, pretended, pretended, allow},
		{x32, "stat", nil, allow, allow, allow},
	} {
		for _, f := range []struct {
			what string
			Filter
			want verdict
		}{{"remembers", remembers, c.remembers}, {"forgets", forgets, c.forgets}, {"no capability", bare, c.bare}} {
			if got := emulates(t, f.Filter, c.arch, c.name, c.args...); got != f.want {
				t.Errorf("%s: %v %s %v: %#x, want %#x", f.what, c.arch, c.name, c.args, got, f.want)
			}
		}
	}
	arm64s := Emulation(machineWith("arm64", "CAP_CHOWN"), true)
	if v := emulates(t, arm64s, arm64, "fchownat"); v != notify {
		t.Errorf("arm64: %#x", v)
	}
	if v := emulates(t, arm64s, arm, "fchown32"); v != pretended {
		t.Errorf("arm: %#x", v)
	}
	if remembers.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 || forgets.Flags != 0 {
		t.Errorf("flags %#x and %#x", remembers.Flags, forgets.Flags)
	}
}

// The kernel takes the strictest verdict of all filters, and of two errors that of the
// filter that was loaded last, which is the container's own.
func TestEmulationOpensNothing(t *testing.T) {
	docker, err := Docker()
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		m := machineWith(arch, "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_SYS_CHROOT")
		own := compiled(t, docker, m)
		for _, remembers := range []bool{true, false} {
			emulated := Emulation(m, remembers).Code
			for _, audit := range audits {
				for _, nr := range everyNumber() {
					for _, args := range someArguments()[:60] {
						d := data{nr: nr, arch: audit, args: args}
						of, _, err1 := run(own, d)
						by, _, err2 := run(emulated, d)
						if err1 != nil || err2 != nil {
							t.Fatal(err1, err2)
						}
						both := of // loaded last
						if by.stricter(of) {
							both = by
						}
						if !of.permits() && both != of {
							t.Fatalf("%s: %+v: %#x, and %#x with root emulation", arch, d, of, both)
						}
						if !slices.Contains([]verdict{unix.SECCOMP_RET_ALLOW, notify, pretended}, by) {
							t.Fatalf("%s: %+v: root emulation says %#x", arch, d, by)
						}
					}
				}
			}
		}
	}
}
