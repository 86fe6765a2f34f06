package userns

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDiagnose(t *testing.T) {
	const (
		maxUser  = "/proc/sys/user/max_user_namespaces"
		maxMnt   = "/proc/sys/user/max_mnt_namespaces"
		debian   = "/proc/sys/kernel/unprivileged_userns_clone"
		appArmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
		label    = "/proc/self/attr/apparmor/current"
		status   = "/proc/self/status"
		mounts   = "/proc/self/mountinfo"
	)
	profile := `printf 'abi <abi/4.0>,\nprofile rootlet /home/ann/bin/rootlet flags=(unconfined) { userns, }\n' > /etc/apparmor.d/rootlet && apparmor_parser -r /etc/apparmor.d/rootlet`
	const unconfined = " --security-opt seccomp=unconfined ...   # the container around this one: its filter must allow clone, unshare, mount and pivot_root"
	for _, c := range []struct {
		name  string
		errno error
		files map[string]string
		root  bool
		exe   string
		want  string // "Setting = Value", "" where no setting is to blame
		hint  string
	}{
		{
			name: "no user namespaces", errno: unix.ENOSPC, files: map[string]string{maxUser: "0\n", maxMnt: "5\n"},
			want: "user.max_user_namespaces = 0", hint: "sysctl -w user.max_user_namespaces=28633",
		},
		{
			name: "no mount namespaces", errno: unix.ENOSPC, files: map[string]string{maxUser: "10\n", maxMnt: "0\n"},
			want: "user.max_mnt_namespaces = 0", hint: "sysctl -w user.max_mnt_namespaces=28633",
		},
		{
			name: "used up", errno: unix.EUSERS, files: map[string]string{maxUser: "10\n", maxMnt: "10\n"},
			want: "user.max_user_namespaces = 10, and all are in use", hint: "sysctl -w user.max_user_namespaces=20",
		},
		{
			name: "Debian's switch", errno: unix.EPERM, files: map[string]string{debian: "0\n", appArmor: "1\n", status: "Seccomp:\t2\n"},
			want: "kernel.unprivileged_userns_clone = 0", hint: "sysctl -w kernel.unprivileged_userns_clone=1",
		},
		{
			name: "AppArmor", errno: unix.EACCES, files: map[string]string{debian: "1\n", appArmor: "1\n", label: "unconfined\n"}, exe: "/home/ann/bin/rootlet",
			want: "kernel.apparmor_restrict_unprivileged_userns = 1", hint: profile,
		},
		{
			name: "AppArmor in the namespace", errno: unix.EPERM, files: map[string]string{appArmor: "1\n", label: "unprivileged_userns (enforce)\n"}, exe: "/home/ann/bin/rootlet",
			want: "kernel.apparmor_restrict_unprivileged_userns = 1", hint: profile,
		},
		{
			name: "AppArmor, a path that a profile cannot hold", errno: unix.EPERM, files: map[string]string{appArmor: "1\n"}, exe: "/home/ann/my '$(x)'/rootlet",
			want: "kernel.apparmor_restrict_unprivileged_userns = 1", hint: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		},
		{name: "AppArmor with a profile", errno: unix.EPERM, files: map[string]string{appArmor: "1\n", label: "rootlet (unconfined)\n", mounts: "1 1 8:1 / / rw - ext4 x rw\n"}},
		{
			name: "AppArmor, seen by a stage", errno: unix.EACCES, root: true, exe: "/home/ann/bin/rootlet",
			files: map[string]string{appArmor: "1\n", label: "unprivileged_userns (enforce)\n", "/proc/self/uid_map": "0 1001 1\n1 100000 65536\n"},
			want:  "kernel.apparmor_restrict_unprivileged_userns = 1", hint: profile,
		},
		{name: "AppArmor does not restrict root", errno: unix.EPERM, files: map[string]string{appArmor: "1\n", debian: "0\n", mounts: "1 1 8:1 / / rw - ext4 x rw\n"}, root: true},
		{
			name: "a container's seccomp filter", errno: unix.EPERM, files: map[string]string{status: "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n", mounts: "1 1 8:1 / / rw - ext4 x rw\n"},
			want: "Seccomp in /proc/self/status = 2", hint: "rootlet run" + unconfined,
		},
		{
			name: "Docker's seccomp filter", errno: unix.ENOSYS, files: map[string]string{status: "Seccomp:\t2\n", "/.dockerenv": ""},
			want: "Seccomp in /proc/self/status = 2", hint: "docker run" + unconfined,
		},
		{
			name: "Podman's seccomp filter", errno: unix.EPERM, files: map[string]string{status: "Seccomp:\t2\n", "/run/.containerenv": ""},
			want: "Seccomp in /proc/self/status = 2", hint: "podman run" + unconfined,
		},
		{
			name: "SELinux", errno: unix.EACCES, files: map[string]string{status: "Seccomp:\t0\n", mounts: "1 1 8:1 / / rw - ext4 x rw\n", "/sys/fs/selinux/enforce": "1", "/proc/self/attr/current": "system_u:system_r:container_t:s0\x00"},
			want: "SELinux = enforcing, this process is system_u:system_r:container_t:s0",
			hint: "ausearch -m avc -ts recent | audit2allow -M rootlet && semodule -i rootlet.pp   # in a container: start that with --security-opt label=disable",
		},
		{
			name: "used up mount namespaces", errno: unix.ENOSPC, files: map[string]string{maxUser: "2147483647\n", maxMnt: "7\n"},
			want: "user.max_mnt_namespaces = 7, and all are in use", hint: "sysctl -w user.max_mnt_namespaces=14",
		},
		{
			name: "used up in a namespace around this one", errno: unix.ENOSPC, files: map[string]string{maxUser: "2147483647\n", maxMnt: "2147483647\n"},
			want: "user.max_user_namespaces outside = too few, where a container takes two", hint: "sysctl -w user.max_user_namespaces=28633",
		},
		{
			name: "chroot", errno: unix.EPERM, files: map[string]string{status: "Seccomp:\t0\n", mounts: "2 1 0:5 / /proc rw - proc x rw\n"},
			want: "chroot = this process is in one", hint: "run rootlet outside the chroot, or enter the directory with pivot_root or systemd-nspawn instead",
		},
		{
			name: "kernel without", errno: unix.EINVAL,
			want: "CONFIG_USER_NS = n", hint: "boot a kernel that is built with CONFIG_USER_NS=y",
		},
		{name: "EINVAL of something else", errno: unix.EINVAL, files: map[string]string{"/proc/self/ns/user": ""}},
		{name: "out of memory", errno: unix.ENOMEM, files: map[string]string{maxUser: "0\n"}},
		{name: "no errno", errno: io.EOF, files: map[string]string{maxUser: "0\n", debian: "0\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := fakeHost(t, c.files)
			if c.root {
				h.uid = 0
			}
			if err := h.read(""); err != nil {
				t.Fatal(err)
			}
			err := fmt.Errorf("start x: %w", c.errno)
			got := diagnose(err, *h, c.exe)
			if !errors.Is(got, c.errno) {
				t.Errorf("%v does not wrap %v", got, c.errno)
			}
			if c.want == "" {
				if got != err {
					t.Errorf("got %v, want it unchanged", got)
				}
				return
			}
			want := c.want + " (" + err.Error() + ")"
			if !strings.HasPrefix(want, filterSetting) {
				want = "user namespaces are forbidden here: " + want
			}
			if !strings.HasSuffix(got.Error(), want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if hinted, ok := got.(interface{ Hint() string }); !ok || hinted.Hint() != c.hint {
				t.Errorf("got  %#v\nwant the hint %s", got, c.hint)
			}
			if again := diagnose(got, *h, c.exe); again != got {
				t.Errorf("diagnosed twice: %v", again)
			}
		})
	}
}

func TestDiagnoseNil(t *testing.T) {
	if err := Diagnose(nil); err != nil {
		t.Errorf("got %v", err)
	}
}
