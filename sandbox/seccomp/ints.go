package seccomp

import "strings"

// isInt says whether a call takes an argument as an int, of which the kernel drops the
// upper half on machines of 64 bits: those that profiles have rules about.
func isInt(call string, index int) bool {
	arguments, ok := strings.CutPrefix(ints, call+" ")
	if !ok {
		_, arguments, ok = strings.Cut(ints, "\n"+call+" ")
	}
	arguments, _, _ = strings.Cut(arguments, "\n")
	return ok && strings.IndexByte(arguments, byte('0'+index)) >= 0
}

// ints has those calls with the numbers of such arguments (SYSCALL_DEFINE in the
// kernel's source).
const ints = `accept4 03
bpf 02
clock_adjtime 0
clock_gettime 0
clock_settime 0
dup3 012
epoll_create1 0
eventfd2 01
fanotify_init 01
fanotify_mark 013
fchmod 01
fchmodat 02
fchmodat2 023
fcntl 01
finit_module 02
fsopen 1
futex 125
getsockopt 012
inotify_init1 0
io_uring_register 013
io_uring_setup 0
ioctl 01
ioprio_set 012
kcmp 012
keyctl 0
kill 01
landlock_create_ruleset 2
landlock_restrict_self 01
linkat 024
lseek 02
madvise 2
memfd_create 1
memfd_secret 0
mknod 12
mknodat 023
mlockall 0
mount_setattr 02
move_mount 024
msgctl 01
name_to_handle_at 04
open 12
open_by_handle_at 02
open_tree 02
open_tree_attr 02
openat 023
perf_event_open 123
personality 0
pidfd_getfd 012
pidfd_open 01
pidfd_send_signal 013
pipe2 1
pkey_mprotect 3
prctl 0
prlimit64 01
process_madvise 034
quotactl 02
reboot 012
recvfrom 03
renameat2 024
rt_sigqueueinfo 01
sched_setscheduler 01
seccomp 01
semctl 012
sendto 03
setns 01
setpriority 01
setsockopt 012
shmctl 01
shutdown 01
socket 012
socketcall 0
socketpair 012
swapon 1
sync_file_range 03
syslog 02
tgkill 012
timerfd_create 01
tkill 01
umount2 1
unlinkat 02
userfaultfd 0
waitid 03
`
