package builtin

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

// DeviceError says that the tun device cannot be opened, without which there is
// no tap. It unwraps to the errno.
type DeviceError struct{ Err error }

// Error names the device and the errno.
func (e *DeviceError) Error() string { return "open " + tunDevice + ": " + e.Err.Error() }

// Unwrap gives the errno.
func (e *DeviceError) Unwrap() error { return e.Err }

// Link is what the container sees of its network.
type Link struct {
	MTU  int          // 0: DefaultMTU
	Net4 netip.Prefix // the zero Prefix: DefaultNet4
	Net6 netip.Prefix // the zero Prefix: no IPv6
}

// OpenTap makes the device tap0 in a network namespace, gives it its addresses
// and default routes, brings it and lo up, and returns the end at which Serve
// takes the container's frames. The caller needs CAP_SYS_ADMIN in its own user
// namespace and, as for CAP_NET_ADMIN, in the one that owns the namespace. The
// error is a *DeviceError where the tun device cannot be opened.
func OpenTap(netns int, o Link) (*os.File, error) { return TapOpener()(netns, o) }

// TapOpener is OpenTap, once, for who wants it to be quick: the thread is there before.
func TapOpener() func(netns int, o Link) (*os.File, error) {
	type result struct {
		tap *os.File
		err error
	}
	asked, done := make(chan func() (*os.File, error)), make(chan result, 1)
	go func() {
		// setns(2) moves a thread. This one is never unlocked: it ends with its
		// goroutine, so that no other runs in the container's namespace.
		runtime.LockOSThread()
		tap, err := (<-asked)()
		done <- result{tap, err}
	}()
	return func(netns int, o Link) (*os.File, error) {
		asked <- func() (*os.File, error) { return openTapHere(netns, o) }
		r := <-done
		return r.tap, r.err
	}
}

func openTapHere(netns int, o Link) (*os.File, error) {
	a, err := addressesOf(o.Net4, o.Net6)
	if err != nil {
		return nil, err
	}
	if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the network namespace: %w", err)
	}
	// The device belongs to the namespace of the thread that opens it.
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &DeviceError{Err: err}
	}
	if err := makeTap(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if err := configure(a, mtuOr(o.MTU)); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), Device), nil
}

// The offloads that both sides of the tap share (linux/if_tun.h). With them the
// container's kernel leaves checksums and segmentation to whoever needs them,
// which nobody does here: what it sends is read and never leaves as frames.
const (
	tunFCsum = 0x01
	tunFTSO4 = 0x02
	tunFTSO6 = 0x04
)

func makeTap(fd int) error {
	ifr, err := unix.NewIfreq(Device)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("make the device %s: %w", Device, err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunFCsum|tunFTSO4|tunFTSO6); err != nil {
		return fmt.Errorf("set the offloads of %s: %w", Device, err)
	}
	return nil
}

// vnetHeader says whether the frames of a tap carry a virtio_net_hdr.
func vnetHeader(fd int) (bool, error) {
	var ifr struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNGETIFF, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
		return false, fmt.Errorf("ask the tap for its flags: %w", errno)
	}
	return ifr.flags&unix.IFF_VNET_HDR != 0, nil
}
