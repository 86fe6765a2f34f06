package builtin

import (
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
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

// Interface is the container's end of a network.
type Interface struct {
	Name               string
	MTU                int          // in bytes
	MAC                string       // six bytes; empty: the kernel chooses
	Address4, Address6 netip.Prefix // with the length of their network; invalid: none
	Gateway4, Gateway6 netip.Addr   // of the default routes; invalid: none
}

// OpenTap makes the device tap0 in a network namespace, as OpenInterface does, for
// a network of this one container.
func OpenTap(netns int, o Link) (*os.File, error) { return TapOpener()(netns, o) }

// TapOpener is OpenTap, once, for who wants it to be quick: the thread is there before.
func TapOpener() func(netns int, o Link) (*os.File, error) {
	do := linux.OwnThread()
	return func(netns int, o Link) (tap *os.File, err error) {
		i, err := o.asInterface()
		if err != nil {
			return nil, err
		}
		err = do(func() (err error) {
			if err = linux.EnterNetwork(netns); err == nil {
				tap, err = openHere(i)
			}
			return err
		})
		return tap, err
	}
}

func (o Link) asInterface() (Interface, error) {
	a, err := addressesOf(o.Net4, o.Net6)
	i := Interface{Name: Device, MTU: mtuOr(o.MTU), Address4: netip.PrefixFrom(a.container4, a.net4.Bits()), Gateway4: a.gateway4}
	if a.net6.IsValid() {
		i.Address6, i.Gateway6 = netip.PrefixFrom(a.container6, a.net6.Bits()), a.gateway6
	}
	return i, err
}

// OpenInterface makes a tap device in a network namespace, gives it its addresses
// and default routes, brings it and lo up, and returns the end at which Serve or a
// Switch takes the container's frames. The caller needs CAP_SYS_ADMIN in its own user
// namespace and, as for CAP_NET_ADMIN, in the one that owns the namespace. The
// error is a *DeviceError where the tun device cannot be opened.
func OpenInterface(netns int, i Interface) (tap *os.File, err error) {
	err = linux.InNetwork(netns, func() (err error) {
		tap, err = openHere(i)
		return err
	})
	return tap, err
}

// Configure gives a device tap0 that is there already what OpenTap gives its own, and
// needs the same of its caller.
func Configure(netns int, o Link) error {
	i, err := o.asInterface()
	if err != nil {
		return err
	}
	return linux.InNetwork(netns, func() error { return configure(i) })
}

func openHere(i Interface) (*os.File, error) {
	// The device belongs to the namespace of the thread that opens it.
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &DeviceError{Err: err}
	}
	if err = makeTap(fd, i.Name); err == nil {
		err = configure(i)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), i.Name), nil
}

// The offloads that both sides of the tap share (linux/if_tun.h). With them the
// container's kernel leaves checksums and segmentation to whoever needs them,
// which nobody does here: what it sends is read and never leaves as frames.
const (
	tunFCsum = 0x01
	tunFTSO4 = 0x02
	tunFTSO6 = 0x04
)

func makeTap(fd int, name string) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("make the device %s: %w", name, err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunFCsum|tunFTSO4|tunFTSO6); err != nil {
		return fmt.Errorf("set the offloads of %s: %w", name, err)
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
