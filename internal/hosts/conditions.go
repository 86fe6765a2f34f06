package hosts

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"rootlet/internal/need"
)

// Conditions are all of them, the plain host first.
func Conditions() []Condition {
	return slices.Concat([]Condition{{Name: "a plain host"}}, ids(), namespaces(), nested(), devices(), homes(), runtimes(), accounts(), networks(), processes(), kernels())
}

// few is what a container lacks that has the user's own id and no other.
var few = []string{"ids", "owner"}

// ids are hosts that give the user fewer.
func ids() []Condition {
	return []Condition{
		{Name: "no subordinate ids", Setup: `sed -i "/^$NAME:/d" /etc/subuid /etc/subgid`, Want: Want{Less: few}},
		{Name: "/etc/subuid and /etc/subgid are missing", Setup: `rm /etc/subuid /etc/subgid`, Want: Want{Less: few}},
		{Name: "newuidmap is not installed", Setup: `without newuidmap newgidmap`, Want: Want{Less: few}},
		{Name: "newuidmap is not setuid", Setup: `writable /usr/bin; chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap`, Want: Want{Less: few}},
		{Name: "/usr is mounted nosuid", Setup: `mount --rbind /usr /usr; mount -o remount,bind,nosuid /usr`, Want: Want{Less: few}},
		{Name: "no_new_privs is set", Shell: `set -- setpriv --no-new-privs -- "$@"`, Inside: `exec setpriv --no-new-privs -- "$@"`, Want: Want{Less: few}},
		{Name: "a range in /etc/subuid alone", Setup: `sed -i "/^$NAME:/d" /etc/subgid`, Want: Want{Less: few}},
		{Name: "a hundred subordinate ids", Setup: `sed -i "/^$NAME:/s/:[0-9]*$/:100/" /etc/subuid /etc/subgid`, Want: Want{Less: []string{"ids"}}},
		{Name: "lines in /etc/subuid that make no sense", Setup: `printf '%s\n' "" "# a remark" "$NAME" "$NAME:x:y" "$NAME:-1:5" "$NAME:99999999999999999999:1" ":::" "  $NAME : 7 : 8 " >>/etc/subuid`, Want: Want{Refused: true, Need: need.IDs}},
		{Name: "a range that is too large for the kernel", Setup: `sed -i "/^$NAME:/s/:[0-9]*$/:4294967295/" /etc/subuid /etc/subgid`},
		{Name: "a range that another user has too", Setup: `sed "s/^$NAME:/else:/" -i.was /etc/subuid; cat /etc/subuid.was >>/etc/subuid`},
	}
}

// calls are rules of one error for some.
func calls(errno syscall.Errno, names ...string) (rules []Denial) {
	for _, name := range names {
		rules = append(rules, Denial{Call: name, Errno: errno})
	}
	return rules
}

// noUserNamespaces is a filter against new ones, as Docker's is.
func noUserNamespaces(errno syscall.Errno) []Denial {
	return append(calls(syscall.ENOSYS, "clone3"),
		Denial{Call: "clone", Errno: errno, Flag: syscall.CLONE_NEWUSER}, Denial{Call: "unshare", Errno: errno, Flag: syscall.CLONE_NEWUSER})
}

func namespaces() []Condition {
	return []Condition{
		{Name: "user.max_user_namespaces is 0", Knobs: true, Setup: `echo 0 >/proc/sys/user/max_user_namespaces`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "user.max_user_namespaces is 1", Knobs: true, Setup: `echo 1 >/proc/sys/user/max_user_namespaces`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "user.max_net_namespaces is 0", Knobs: true, Setup: `echo 0 >/proc/sys/user/max_net_namespaces`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "user.max_pid_namespaces is 0", Knobs: true, Setup: `echo 0 >/proc/sys/user/max_pid_namespaces`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "user.max_mnt_namespaces is 0", Knobs: true, Setup: `echo 0 >/proc/sys/user/max_mnt_namespaces`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "user.max_cgroup_namespaces is 0", Knobs: true, Setup: `echo 0 >/proc/sys/user/max_cgroup_namespaces`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies user namespaces (EPERM)", Deny: noUserNamespaces(syscall.EPERM), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies user namespaces (ENOSYS)", Deny: noUserNamespaces(syscall.ENOSYS), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies unshare", Deny: calls(syscall.EPERM, "unshare"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies mount", Deny: calls(syscall.EPERM, "mount"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies mounts, the new calls too", Deny: calls(syscall.EPERM, "mount", "fsopen", "fsmount", "move_mount", "open_tree", "mount_setattr"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies pivot_root", Deny: calls(syscall.EPERM, "pivot_root"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies setns", Deny: calls(syscall.EPERM, "setns"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies seccomp", Deny: calls(syscall.EPERM, "seccomp"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies keyctl", Deny: calls(syscall.EPERM, "keyctl"), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "a filter denies mknod", Deny: calls(syscall.EPERM, "mknod", "mknodat")},
	}
}

// inContainer runs a command in a container of an engine's, with this machine's programs.
func inContainer(e Engine, flags string) string {
	return fmt.Sprintf(`%[1]s load -q -i %[2]s/host.tar >/dev/null 2>&1
mkdir -p "$HOME/inner"
exec %[1]s run --rm %[3]s -v /usr:/usr:ro -v /etc/containers:/etc/containers:ro -v %[2]s:%[2]s:ro -v "$HOME/inner:/root" -e HOME=/root %[4]s "$@"`,
		e.Name, imagesDir, flags, hostImage)
}

func nested() []Condition {
	return []Condition{
		{Name: "in a container of rootlet's", Inside: inContainer(Rootlet, ""), Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "in a container of rootlet's, --privileged", Inside: inContainer(Rootlet, "--privileged"), Want: Want{Less: []string{"ids", "interfaces", "owner"}}},
		{Name: "in a container of podman's", Inside: inContainer(Podman, ""), Want: Want{Less: few}},
		{Name: "in a container of podman's, --privileged", Inside: inContainer(Podman, "--privileged"), Want: Want{Less: few}},
		{Name: "under unshare -rmpf --mount-proc", Inside: `exec unshare -rmpf --mount-proc "$@"`, Want: Want{Less: few}},
		{Name: "under unshare with parts of /proc masked", Inside: `exec unshare -rmpf --mount-proc sh -c 'mount -t tmpfs none /proc/bus && mount -t tmpfs none /proc/fs; exec "$@"' sh "$@"`, Want: Want{Less: few}},
		{Name: "in bubblewrap", Inside: `exec bwrap --bind / / --dev-bind /dev /dev --proc /proc --unshare-user --unshare-pid "$@"`, Want: Want{Less: few}},
		{Name: "in bubblewrap, no more user namespaces", Inside: `exec bwrap --bind / / --dev-bind /dev /dev --proc /proc --unshare-user --disable-userns "$@"`, Want: Want{Refused: true, Need: need.UserNamespaces}},
		{Name: "in a chroot", Setup: `mkdir $SCRATCH/root; cp -d /bin /lib* /sbin $SCRATCH/root/; for d in dev etc home proc run srv sys tmp usr var; do mkdir $SCRATCH/root/$d; mount --rbind /$d $SCRATCH/root/$d; done`, Inside: `exec unshare -r chroot ` + scratch + `/root "$@"`, Want: Want{Refused: true, Need: need.UserNamespaces}},
	}
}

func devices() []Condition {
	return []Condition{
		{Name: "no /dev/fuse", Setup: `without_device fuse`},
		{Name: "/dev/fuse is root's alone", Setup: `without_device fuse; mknod -m 600 /dev/fuse c 10 229`},
		{Name: "no /dev/net/tun", Setup: `mount -t tmpfs none /dev/net`, Want: Want{Less: []string{"interfaces"}}},
		{Name: "no /dev/shm", Setup: `without_device shm`},
		{Name: "no /dev/pts", Setup: `without_device pts`},
		{Name: "a home on overlay", Setup: `chmod 755 /home; writable /home; chown $UID:$UID $HOME`},
		{Name: "a home on overlay, no /dev/fuse", Setup: `writable /home; chown $UID:$UID $HOME; without_device fuse`},
		{Name: "fuse-overlayfs is not installed, a home on overlay", Setup: `writable /home; chown $UID:$UID $HOME; without fuse-overlayfs`},
	}
}

func homes() []Condition {
	return []Condition{
		{Name: "a noexec home", Setup: `home_on tmpfs noexec`},
		{Name: "a nosuid, nodev home", Setup: `home_on tmpfs nosuid,nodev`},
		{Name: "a noexec /tmp", Setup: `mount -o remount,noexec /tmp`},
		{Name: "a read-only home", Setup: `mount -o remount,bind,ro $HOME`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "a full home", Setup: `home_on tmpfs size=1m; head -c 1m /dev/zero >$HOME/full || :`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "a home of 3 MB", Setup: `home_on tmpfs size=3m`, Want: Want{Refused: true, Need: need.Storage, DoctorFine: true}},
		{Name: "a home of 30 files", Setup: `home_on tmpfs nr_inodes=30`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "a home without extended attributes", Setup: `home_on ramfs`},
		{Name: "a home on FUSE", Setup: `mkdir $SCRATCH/l $SCRATCH/u $SCRATCH/w; fuse-overlayfs -o allow_other,lowerdir=$SCRATCH/l,upperdir=$SCRATCH/u,workdir=$SCRATCH/w $HOME; chown $UID:$UID $HOME; chmod 700 $HOME`},
		{Name: "HOME is not set", Shell: `unset HOME`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "HOME is empty", Shell: `export HOME=`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "HOME is a relative path", Shell: `cd /tmp; export HOME=me`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "HOME does not exist", Shell: `export HOME=/home/nobody`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "HOME is root's", Shell: `export HOME=/root`, Want: Want{Refused: true, Need: need.Storage, Code: 125}},
		{Name: "HOME is /", Shell: `export HOME=/`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "HOME is another user's, and open", Setup: `mkdir -m 777 /home/other; mkdir -m 777 -p /home/other/.local/share; chown 60601 /home/other`, Shell: `export HOME=/home/other`},
		{Name: "HOME is a file", Shell: `export HOME=/etc/passwd`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "a home with a path of 200 bytes", Shell: fmt.Sprintf(`export HOME=/home/dev/%s; mkdir -p "$HOME"`, strings.Repeat("a-long-name/", 16))},
		{Name: "a home with spaces and umlauts", Shell: `export HOME="/home/dev/Jörg’s  files"; mkdir -p "$HOME"`},
		{Name: "a home with colons, commas and backslashes", Shell: `export HOME='/home/dev/a:b,c\d="e'; mkdir -p "$HOME"`},
		{Name: "a home behind a symbolic link", Shell: `mkdir -p /home/dev/real; ln -sfn real /home/dev/link; export HOME=/home/dev/link`},
		{Name: "TMPDIR does not exist", Shell: `export TMPDIR=/nowhere`},
		{Name: "no /tmp that can be written to", Setup: `mount -o remount,ro /tmp`},
	}
}

func runtimes() []Condition {
	return []Condition{
		{Name: "XDG_RUNTIME_DIR is not set", Shell: `unset XDG_RUNTIME_DIR`},
		{Name: "XDG_RUNTIME_DIR does not exist", Shell: `export XDG_RUNTIME_DIR=/run/user/nobody`},
		{Name: "XDG_RUNTIME_DIR is another user's (su)", Setup: `mkdir -m 700 /run/user/60601; chown 60601 /run/user/60601`, Shell: `export XDG_RUNTIME_DIR=/run/user/60601`},
		{Name: "XDG_RUNTIME_DIR is another user's, and open", Setup: `mkdir -m 777 /run/user/60601; chown 60601 /run/user/60601; chmod 777 /run/user/60601`, Shell: `export XDG_RUNTIME_DIR=/run/user/60601`},
		{Name: "XDG_RUNTIME_DIR is open to others", Setup: `chmod 755 $RUNTIME`},
		{Name: "XDG_RUNTIME_DIR is full", Setup: `mount -t tmpfs -o size=4k,mode=700 none $RUNTIME; chown $UID $RUNTIME; head -c 4k /dev/zero >$RUNTIME/full || :`, Want: Want{Refused: true, Need: need.RuntimeDirectory}},
		{Name: "XDG_RUNTIME_DIR has a path of 150 bytes", Shell: fmt.Sprintf(`export XDG_RUNTIME_DIR=/tmp/%s; mkdir -p -m 700 "$XDG_RUNTIME_DIR"`, strings.Repeat("a-long-name/", 12))},
		{Name: "XDG_RUNTIME_DIR is removed under a container", Run: `ENGINE run -d --name up IMAGE sleep 300 >/dev/null || exit; rm -rf "$XDG_RUNTIME_DIR"/* && ENGINE run --rm IMAGE sh -c FACTS; code=$?; ENGINE rm -f up >/dev/null; exit $code`},
		{Name: "a session bus that does not answer", Shell: `hang="$XDG_RUNTIME_DIR/bus"; export DBUS_SESSION_BUS_ADDRESS=unix:path=$hang; [ -e "$hang" ] || { busybox nc -h >/dev/null 2>&1; python3 -c 'import socket,sys,time;s=socket.socket(socket.AF_UNIX);s.bind(sys.argv[1]);s.listen(9);time.sleep(300)' "$hang" >/dev/null 2>&1 & while [ ! -e "$hang" ]; do sleep 0.05; done; }`},
	}
}

func accounts() []Condition {
	return []Condition{
		{Name: "the user is not in /etc/passwd", Setup: `sed -i "/^$NAME:/d" /etc/passwd`, Want: Want{Less: few}},
		{Name: "nor is USER set", Setup: `sed -i "/^$NAME:/d" /etc/passwd`, Shell: `unset USER LOGNAME`, Want: Want{Less: few}},
		{Name: "no /etc/passwd and no /etc/group", Setup: `rm /etc/passwd /etc/group`, Want: Want{Less: few}},
		{Name: "USER is somebody else", Shell: `export USER=root LOGNAME=root`},
		{Name: "no variable at all", Inside: `exec env -i /bin/sh -c "$3"`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "PATH is not set", Shell: `alias rootlet=/usr/local/bin/rootlet podman=/usr/bin/podman; unset PATH`},
		{Name: "umask 077", Shell: `umask 077`},
		{Name: "umask 000", Shell: `umask 000`},
		{Name: "the working directory is gone", Shell: `mkdir -p /tmp/gone; cd /tmp/gone; rmdir /tmp/gone`},
	}
}

func networks() []Condition {
	return []Condition{
		{Name: "no slirp4netns and no pasta", Setup: `without slirp4netns pasta passt`},
		{Name: "no network", Offline: true},
		{Name: "no /etc/resolv.conf", Setup: `rm -f /etc/resolv.conf`},
		{Name: "/etc/resolv.conf leads nowhere", Setup: `ln -sf ../run/nowhere/resolv.conf /etc/resolv.conf`},
		{Name: "no IPv6", Knobs: true, Offline: true, Setup: `echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6`},
	}
}

func processes() []Condition {
	return []Condition{
		{Name: "ulimit -n 64", Shell: `ulimit -n 64`},
		{Name: "ulimit -n 12", Shell: `ulimit -n 12`, Want: Want{Refused: true, Need: need.TimeToStart}},
		{Name: "ulimit -u 8", Shell: `ulimit -p 8`, Want: Want{Refused: true, Code: 125}},
		{Name: "ulimit -u 20", Shell: `ulimit -p 20`, Want: Want{Refused: true, Need: need.TimeToStart, Code: 125}},
		{Name: "ulimit -v 500000", Shell: `ulimit -v 500000`, Want: Want{Refused: true, Code: 125}},
		{Name: "ulimit -v 1100000", Shell: `ulimit -v 1100000`},
		{Name: "ulimit -f 100", Shell: `ulimit -f 100`, Want: Want{Refused: true, Need: need.Storage}},
		{Name: "ulimit -s 128", Shell: `ulimit -s 128`},
		{Name: "ulimit -l 0, -c 0", Shell: `ulimit -l 0; ulimit -c 0`},
		{Name: "standard input is closed", Shell: `exec <&-`},
		{Name: "standard output is closed", Run: `ENGINE run --rm IMAGE sh -c FACTS >&-`},
		{Name: "standard error is closed", Shell: `exec 2>&-`},
		{Name: "no descriptor is open", Run: `ENGINE run --rm IMAGE true <&- >&- 2>&-`},
		{Name: "standard output is full", Run: `ENGINE run --rm IMAGE sh -c FACTS >/dev/full`, Want: Want{Refused: true, Says: "no space left on device", DoctorFine: true}},
		{Name: "images: standard output is full", Run: `ENGINE images >/dev/full`, Want: Want{Refused: true, Code: 1, Says: "no space left on device", DoctorFine: true}},
		{Name: "the reader has gone", Run: `(ENGINE run --rm IMAGE sh -c FACTS; echo "$?" >/tmp/code) | true; read code </tmp/code; exit $((code > 1))`},
		{Name: "SIGPIPE and SIGCHLD are ignored", Shell: `trap '' PIPE CHLD`},
	}
}

func kernels() []Condition {
	return []Condition{
		{Name: "no cgroup file system", Setup: `umount -R -l /sys/fs/cgroup || :; mount -t tmpfs none /sys/fs/cgroup`},
		{Name: "limits without delegation", Flags: "-m 64m --pids-limit 50 --cpus 0.5"},
		{Name: "no /sys", Setup: `mount -t tmpfs none /sys`},
		{Name: "/proc with hidepid=2", Setup: `mount -t proc -o hidepid=2 proc /proc`},
		{Name: "/proc with parts masked", Setup: `mount -t tmpfs none /proc/bus; mount --bind /dev/null /proc/keys`},
		{Name: "/proc is read-only", Setup: `mount -o remount,bind,ro /proc`, Want: Want{Refused: true, Need: need.IDs}},
		{Name: "no /proc", Setup: `mount -t tmpfs none /proc`, Want: Want{Refused: true, Need: need.IDs}},
		{Name: "a kernel without Landlock", Deny: calls(syscall.ENOSYS, "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")},
		{Name: "a kernel without clone3", Deny: calls(syscall.ENOSYS, "clone3")},
		{Name: "a kernel without openat2", Deny: calls(syscall.ENOSYS, "openat2"), Want: Want{Refused: true, Need: need.Kernel}},
		{Name: "a kernel without pidfds", Deny: calls(syscall.ENOSYS, "pidfd_open", "pidfd_send_signal", "pidfd_getfd"), Want: Want{Refused: true, Need: need.Kernel}},
		{Name: "a kernel without close_range", Deny: calls(syscall.ENOSYS, "close_range")},
		{Name: "a kernel without memfd_create", Deny: calls(syscall.ENOSYS, "memfd_create"), Want: Want{Refused: true, Need: need.Kernel}},
		{Name: "a kernel without the mount calls of 5.2", Deny: calls(syscall.ENOSYS, "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr")},
		{Name: "the filter of an old Docker (EPERM for what it does not know)", Deny: calls(syscall.EPERM, "clone3", "openat2", "close_range", "faccessat2", "pidfd_open", "pidfd_getfd", "statx", "mount_setattr", "landlock_create_ruleset"), Want: Want{Refused: true, Need: need.Kernel}},
		{Name: "a kernel without inotify", Deny: calls(syscall.ENOSYS, "inotify_init1", "inotify_init")},
		{Name: "a kernel without io_uring and BPF", Deny: calls(syscall.EPERM, "io_uring_setup", "bpf", "perf_event_open")},
	}
}
