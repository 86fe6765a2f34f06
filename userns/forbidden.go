package userns

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/distro"
	"rootlet/internal/need"
)

// Forbidden says which setting of this host keeps rootlet from having, or from
// using, a user namespace.
type Forbidden struct {
	Setting string // as sysctl(8) names it, or what else stands in the way
	Value   string
	Fix     string // the line that an administrator types
	Err     error  // what the kernel answered
}

func (e *Forbidden) Error() string {
	if e.Setting == filterSetting {
		return fmt.Sprintf("a filter of system calls that is on this process refuses what a container takes: %s = %s (%v)", e.Setting, e.Value, e.Err)
	}
	return fmt.Sprintf("user namespaces are forbidden here: %s = %s (%v)", e.Setting, e.Value, e.Err)
}

func (e *Forbidden) Unwrap() error { return e.Err }

// Hint is what an administrator types to allow it.
func (e *Forbidden) Hint() string { return e.Fix }

// Need is the line of doctor about it.
func (e *Forbidden) Need() string { return need.UserNamespaces }

// Diagnose explains an error of Start, or of the first privileged step inside
// the namespace (under AppArmor's restriction the clone succeeds, but no
// capability works: mounts fail). It returns a *Forbidden that wraps err where a
// setting of this host is the cause, and err itself where none is.
func Diagnose(err error) error {
	exe, linkErr := os.Readlink("/proc/self/exe")
	if linkErr != nil {
		exe = ""
	}
	h := host{uid: uint32(os.Geteuid())}
	h.ownUIDs, _ = h.readMap("/proc/self/uid_map")
	return diagnose(err, h, exe)
}

func diagnose(err error, h host, exe string) error {
	var errno unix.Errno
	var known *Forbidden
	if !errors.As(err, &errno) || errors.As(err, &known) {
		return err
	}
	var causes []func() *Forbidden
	switch errno {
	case unix.ENOSPC, unix.EUSERS: // EUSERS: before Linux 4.9, and when nested 32 deep
		causes = []func() *Forbidden{h.none("user.max_user_namespaces"), h.none("user.max_mnt_namespaces"), h.usedUp}
	case unix.EINVAL:
		causes = []func() *Forbidden{h.notBuilt}
	case unix.EPERM, unix.EACCES:
		causes = []func() *Forbidden{h.debianSwitch, h.appArmor(exe), h.chroot, h.seccomp, h.seLinux}
	case unix.ENOSYS:
		causes = []func() *Forbidden{h.seccomp}
	}
	for _, cause := range causes {
		if f := cause(); f != nil {
			f.Err = err
			return f
		}
	}
	return err
}

// Refused reports whether an error of clone(2) or unshare(2) may say that a namespace is
// not to be had, and not that it cannot be had at the moment.
func Refused(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.EPERM, unix.EACCES, unix.ENOSYS}, func(errno error) bool { return errors.Is(err, errno) })
}

// foreignProc: where /proc is that of another pid namespace, as in a container that could
// have none of its own, it has other numbers for our children than we have.
func foreignProc(err error) error {
	self, linkErr := os.Readlink("/proc/self")
	if linkErr != nil || self == strconv.Itoa(os.Getpid()) {
		return nil
	}
	return &Forbidden{
		Setting: "/proc", Value: "that of another pid namespace",
		Fix: cmp.Or(distro.Engine("/"), "rootlet") + " run --pid host ...   # the container around this one, unless it can have a /proc of its own", Err: err,
	}
}

// none: a limit of namespaces(7) that is 0 allows none at all.
func (h *host) none(name string) func() *Forbidden {
	return func() *Forbidden {
		if value, ok := h.sysctl(name); !ok || value != "0" {
			return nil
		}
		return &Forbidden{Setting: name, Value: "0", Fix: "sysctl -w " + name + "=28633"}
	}
}

// usedUp: a limit is another, and was reached, by us or by another user of an outer
// namespace. The lower of the two is likely the one.
func (h *host) usedUp() *Forbidden {
	name, most := "", uint64(0)
	for _, setting := range []string{"user.max_user_namespaces", "user.max_mnt_namespaces"} {
		value, _ := h.sysctl(setting)
		n, err := strconv.ParseUint(value, 10, 32)
		if err == nil && (name == "" || n < most) {
			name, most = setting, n
		}
	}
	switch {
	case name == "":
		return nil
	case most == unlimited:
		return Crowded(nil)
	}
	return &Forbidden{Setting: name, Value: fmt.Sprintf("%d, and all are in use", most), Fix: fmt.Sprintf("sysctl -w %s=%d", name, 2*most)}
}

// unlimited is what a new user namespace has in these settings, whatever those around it.
const unlimited = 1<<31 - 1

// Crowded is for a limit that was reached and is not our own namespace's, where a process
// reads of no other.
func Crowded(err error) *Forbidden {
	return &Forbidden{
		Setting: "user.max_user_namespaces outside", Value: "too few, where a container takes two",
		Fix: "sysctl -w user.max_user_namespaces=28633", Err: err,
	}
}

// notBuilt: clone does not know the flag.
func (h *host) notBuilt() *Forbidden {
	if _, err := os.Lstat(h.path("/proc/self/ns/user")); err == nil {
		return nil
	}
	return &Forbidden{Setting: "CONFIG_USER_NS", Value: "n", Fix: "boot a kernel that is built with CONFIG_USER_NS=y"}
}

// debianSwitch is a patch of Debian's and Arch's kernels.
func (h *host) debianSwitch() *Forbidden {
	const name = "kernel.unprivileged_userns_clone"
	if value, ok := h.sysctl(name); !ok || value != "0" || h.isRoot() {
		return nil
	}
	return &Forbidden{Setting: name, Value: "0", Fix: "sysctl -w " + name + "=1"}
}

// appArmor is Ubuntu's restriction (23.10 and on): only a program that has a
// profile with "userns," may use the capabilities of a new namespace.
func (h *host) appArmor(exe string) func() *Forbidden {
	return func() *Forbidden {
		const name = "kernel.apparmor_restrict_unprivileged_userns"
		if value, ok := h.sysctl(name); !ok || value != "1" || h.isRoot() || h.hasProfile() {
			return nil
		}
		return &Forbidden{Setting: name, Value: "1", Fix: appArmorFix(name, exe)}
	}
}

// hasProfile tells whether AppArmor knows our binary. The label is
// "unconfined", or "NAME (MODE)", where MODE may well be unconfined too. The
// file's place is that of Linux 5.1, and the older one shared with SELinux.
func (h *host) hasProfile() bool {
	label, err := os.ReadFile(h.path("/proc/self/attr/apparmor/current"))
	if err != nil {
		label, err = os.ReadFile(h.path("/proc/self/attr/current"))
	}
	name := strings.TrimRight(string(label), "\x00\n")
	return err == nil && name != "" && name != "unconfined" && !strings.HasPrefix(name, "unprivileged_userns")
}

// appArmorFix gives our binary a profile, or, where its path cannot safely
// stand in one, lifts the restriction for all.
func appArmorFix(setting, exe string) string {
	if exe == "" || exe[0] != '/' || strings.ContainsAny(exe, "'\"\\%*?[]{}^,@#\n\t ") {
		return "sysctl -w " + setting + "=0"
	}
	return `printf 'abi <abi/4.0>,\nprofile rootlet ` + exe + ` flags=(unconfined) { userns, }\n' > /etc/apparmor.d/rootlet && apparmor_parser -r /etc/apparmor.d/rootlet`
}

// chroot: inside chroot(2) no user namespace can be made (user_namespaces(7),
// EPERM). There, nothing is mounted on what we call "/", unless it happens to be
// a mount point itself.
func (h *host) chroot() *Forbidden {
	mounts, err := os.ReadFile(h.path("/proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return nil
		}
	}
	return &Forbidden{Setting: "chroot", Value: "this process is in one", Fix: "run rootlet outside the chroot, or enter the directory with pivot_root or systemd-nspawn instead"}
}

// filterSetting is what tells of a filter of system calls.
const filterSetting = "Seccomp in /proc/self/status"

// seccomp: some filter is on us, most likely that of a container around us.
func (h *host) seccomp() *Forbidden {
	status, err := os.ReadFile(h.path("/proc/self/status"))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(status), "\n")
	if !slices.Contains(lines, "Seccomp:\t2") {
		return nil
	}
	return &Forbidden{Setting: filterSetting, Value: "2", Fix: cmp.Or(distro.Engine(h.path("/")), "rootlet") + " run --security-opt seccomp=unconfined ...   # the container around this one: its filter must allow clone, unshare, mount and pivot_root"}
}

// seLinux decides about user namespaces since Linux 6.1 (the class user_namespace); a
// policy for containers mostly gives them none.
func (h *host) seLinux() *Forbidden {
	enforced, err := os.ReadFile(h.path("/sys/fs/selinux/enforce"))
	if err != nil || strings.TrimSpace(string(enforced)) != "1" {
		return nil
	}
	label, _ := os.ReadFile(h.path("/proc/self/attr/current"))
	return &Forbidden{
		Setting: "SELinux", Value: "enforcing, this process is " + strings.TrimRight(string(label), "\x00\n"),
		Fix: "ausearch -m avc -ts recent | audit2allow -M rootlet && semodule -i rootlet.pp   # in a container: start that with --security-opt label=disable",
	}
}

// isRoot: the host's, whom no switch for the unprivileged stops. Root of a
// namespace, as a stage is, has one that maps less than every id.
func (h *host) isRoot() bool {
	return h.uid == 0 && len(h.ownUIDs) == 1 && h.ownUIDs[0] == Extent{Size: lastID + 1}
}

func (h *host) sysctl(name string) (value string, ok bool) {
	data, err := os.ReadFile(h.path("/proc/sys/" + strings.ReplaceAll(name, ".", "/")))
	return strings.TrimSpace(string(data)), err == nil
}
