package builtin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOpenTap(t *testing.T) {
	needHost(t)
	c := newContainer(t)
	tap, err := OpenTap(int(c.netns.Fd()), Link{MTU: 1400, Net4: netip.MustParsePrefix("10.9.8.0/24"), Net6: DefaultNet6})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	c.do(func() {
		dev, err := net.InterfaceByName(Device)
		if err != nil {
			t.Error(err)
			return
		}
		var addrs []string
		if list, err := dev.Addrs(); err == nil {
			for _, a := range list {
				addrs = append(addrs, a.String())
			}
		}
		if dev.MTU != 1400 || dev.Flags&net.FlagUp == 0 || !slices.Contains(addrs, "10.9.8.100/24") || !slices.Contains(addrs, "fd00::100/64") {
			t.Errorf("%s: MTU %d, %v, %v", Device, dev.MTU, dev.Flags, addrs)
		}
		if lo, err := net.InterfaceByIndex(1); err != nil || lo.Flags&net.FlagUp == 0 {
			t.Errorf("lo is not up: %v", err)
		}
	})
	if _, err := OpenTap(int(c.netns.Fd()), Link{}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second tap: %v", err)
	}
}

func TestOpenTapFails(t *testing.T) {
	needHost(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var device *DeviceError
	if _, err := OpenTap(int(file.Fd()), Link{}); !errors.Is(err, unix.EINVAL) || errors.As(err, &device) {
		t.Errorf("no namespace: %v", err)
	}
	if _, err := OpenTap(int(file.Fd()), Link{Net4: DefaultNet6}); err == nil {
		t.Error("a wrong network was taken")
	}
	if err := error(&DeviceError{Err: unix.EACCES}); !errors.Is(err, unix.EACCES) {
		t.Error("the errno is lost")
	}
}

// Who may administer the container's network may take its device away.
func TestServeEndsWithItsDevice(t *testing.T) {
	needHost(t)
	c := newContainer(t)
	tap, err := OpenTap(int(c.netns.Fd()), Link{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- Serve(context.Background(), Options{Tap: tap}) }()
	c.do(func() {
		index, err := interfaceIndex(Device)
		if err != nil {
			t.Error(err)
			return
		}
		m := newMessage(unix.RTM_DELLINK, unix.NLM_F_ACK, unix.AF_UNSPEC, 0, 0, 0)
		m = append(append(append(m, word(uint32(index))...), word(0)...), word(0)...)
		if err := request(m); err != nil {
			t.Error(err)
		}
	})
	select {
	case err := <-served:
		if !errors.Is(err, unix.EBADFD) {
			t.Errorf("%v, want that the device is gone", err)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("Serve goes on\n%s", stacks())
	}
}

// A tap that came over an execve(2) may block; Serve ends all the same.
func TestServeWithATapThatBlocks(t *testing.T) {
	c := network(t, func(o *Options) {
		if err := unix.SetNonblock(int(o.Tap.Fd()), false); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Dup(int(o.Tap.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		_ = o.Tap.Close()
		o.Tap = os.NewFile(uintptr(fd), Device)
	})
	if err := ping(c, at(DefaultNet4, gatewayByte), 8); err != nil {
		t.Error(err)
	}
}
