package linux

import "golang.org/x/sys/unix"

// PTYPeer opens the other end of the pseudoterminal whose first end is fd,
// whatever path leads or does not lead to it (ioctl_tty(2), Linux 4.13).
func PTYPeer(fd int) (int, error) {
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(peer), nil
}
