package emulation

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// peer says who is at the other end of a socket (SO_PEERCRED, unix(7)), as servers ask that
// let in whom the kernel vouches for. The kernel knows one user here.
func (r *receiver) peer(a [6]uint64) (int64, error) {
	if !r.anyChanged.Load() {
		return 0, errKernel
	}
	var size uint32
	if r.read(a[4], bytesOf(&size)) != nil || size < unix.SizeofUcred {
		return 0, errKernel
	}
	pidfd, err := unix.PidfdOpen(r.process(), 0)
	if err != nil {
		return 0, errKernel
	}
	defer unix.Close(pidfd)
	socket, err := unix.PidfdGetfd(pidfd, fd(a[0]), 0)
	if err != nil {
		return 0, errKernel
	}
	defer unix.Close(socket)
	if err := r.valid(); err != nil {
		return 0, err
	}
	peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || peer.Pid <= 0 {
		return 0, errKernel
	}
	who, known := r.whoever(int(peer.Pid))
	if !known || who.isRoot() {
		return 0, errKernel
	}
	// The number of the peer's process is the kernel's to tell: it is another in there.
	answer := unix.Ucred{Pid: int32(r.numberOf(int(peer.Pid))), Uid: who.uid.effective, Gid: who.gid.effective}
	if err := r.write(a[3], bytesOf(&answer)); err != nil {
		return 0, err
	}
	size = unix.SizeofUcred
	return 0, r.write(a[4], bytesOf(&size))
}

// whoever is one of the container's processes, of whichever listener; false: nobody has
// said who it is.
func (s *supervisor) whoever(pid int) (person, bool) {
	s.listenersMu.Lock()
	defer s.listenersMu.Unlock()
	for l := range s.listeners {
		if who, known := l.people.recall(pid); known {
			return who, true
		}
	}
	return person{}, false
}

// numberOf is a process's number where who asks is.
func (r *receiver) numberOf(pid int) int {
	own := strings.Fields(r.status("NSpid"))
	text, _ := r.slurp(strconv.Itoa(pid) + "/status")
	numbers := strings.Fields(lineOf(text, "NSpid"))
	if len(own) == 0 || len(numbers) < len(own) {
		return 0
	}
	n, _ := strconv.Atoi(numbers[len(own)-1])
	return n
}
