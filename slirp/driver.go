package slirp

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"rootlet/slirp/builtin"
	"rootlet/slirp/gate"
)

// driver is a program that gives a container its network, and how it is told so.
type driver struct {
	name    string
	program string // to be found, or a path
	// arguments is the command line; forget takes away what it names. It is nil for
	// what is told otherwise (ahead.go).
	arguments func(Options, *pipes) (args []string, forget func(), err error)
}

func driverOf(name string) (driver, error) {
	switch name {
	case Slirp4netns:
		return driver{Slirp4netns, Slirp4netns, slirpArguments}, nil
	case Pasta:
		return driver{Pasta, Pasta, pastaArguments}, nil
	case Builtin, beside:
		return driver{name: name, program: ownProgram}, nil
	}
	return driver{}, fmt.Errorf("network driver %q is not known", name)
}

// slirpArguments: --enable-sandbox and --enable-seccomp always, and never an API
// socket. Run by the root of U1, the sandbox stays in U1 (slirp4netns(1): it enters
// the container's user namespace only when run by others).
func slirpArguments(o Options, p *pipes) ([]string, func(), error) {
	args := []string{
		"--configure", "--mtu=" + strconv.Itoa(o.mtu()), "--cidr=" + o.Prefix().String(),
		"--enable-sandbox", "--enable-seccomp",
		"--ready-fd=" + strconv.Itoa(readyFD), "--exit-fd=" + strconv.Itoa(exitFD),
	}
	if !o.HostLoopback {
		args = append(args, "--disable-host-loopback")
	}
	ip6 := HostIP6().IsValid()
	if ip6 {
		args = append(args, "--enable-ipv6")
	}
	if o.netns != nil {
		if ip6 {
			p.configure = func() error { return addLeg6(o.netns) }
		}
		child, err := duplicate(o.netns)
		if err != nil {
			return nil, nil, err
		}
		p.child = append(p.child, child)
		return append(args, "--netns-type=path", fmt.Sprintf("/proc/self/fd/%d", netnsPathFD), Device), func() {}, nil
	}
	if ip6 {
		p.configure = func() error { return addIPv6(o.PID) }
	}
	return append(args, strconv.Itoa(o.PID), Device), func() {}, nil
}

// netnsPathFD is where slirp4netns finds Options.netns.
const netnsPathFD = 5

// Device is the container's interface.
const Device = builtin.Device

// pastaArguments: pasta closes every descriptor but the first three, so it says that
// it is ready by writing its pid to a FIFO (pasta(1), --pid), which takes the place of
// the pipe. It forwards no ports of its own accord, gives no leases, and has its own
// seccomp filter and namespaces always. It dies with us as one of the monitor's pid
// namespace. Its name server would go on asking whom resolv.conf named as it started: ours
// answers in its place, by StartBeside.
func pastaArguments(o Options, p *pipes) ([]string, func(), error) {
	fifo := filepath.Join(o.Dir, "pasta.ready")
	_ = os.Remove(fifo) // of one that was killed
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		return nil, nil, fmt.Errorf("mkfifo %s: %w", fifo, err)
	}
	forget := func() { _ = os.Remove(fifo) }
	// Open for both, or it would read as ended until pasta has opened it.
	fd, err := unix.Open(fifo, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		forget()
		return nil, nil, fmt.Errorf("open %s: %w", fifo, err)
	}
	_ = p.ready.Close()
	p.ready = os.NewFile(uintptr(fd), fifo)
	args := []string{
		"--foreground", "--quiet", "--stderr", "--pid", fifo,
		"--config-net", "--ns-ifname", Device, "--mtu", strconv.Itoa(o.mtu()),
		"--address", o.ContainerIP().String(), "--netmask", strconv.Itoa(o.Prefix().Bits()),
		"--gateway", o.GatewayIP().String(),
		"--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
		"--no-dhcp", "--no-dhcpv6",
	}
	if !o.HostLoopback {
		args = append(args, "--no-map-gw")
	}
	if HostIP6().IsValid() {
		container, gateway := containerIP6, gatewayIP6
		if o.netns != nil {
			container, gateway = gate.LegAddress(gate.Leg6), gate.LegGateway(gate.Leg6)
		}
		// The host's own would else be the container's, and hide the host.
		args = append(args, "--address", container.String(), "--gateway", gateway.String())
	} else {
		args = append(args, "--ipv4-only")
	}
	child, err := o.pastaNetns()
	if err != nil {
		forget()
		return nil, nil, err
	}
	_ = p.child[0].Close()
	p.child[0] = child // the one descriptor that it keeps and does not write to
	return append(args, "--no-netns-quit", "--netns", "/proc/self/fd/0"), forget, nil
}

// pastaNetns is the namespace for pasta to be handed. It could find it by the process, but
// that hides from all who keep no right over it, as pasta does.
func (o Options) pastaNetns() (*os.File, error) {
	if o.netns != nil {
		return duplicate(o.netns)
	}
	return os.Open(fmt.Sprintf("/proc/%d/ns/net", o.PID))
}

// Choose is the driver that Auto stands for on this host: the first whose program is
// here, and which opens the device that all of them need.
func Choose() (string, error) {
	if err := probeTun(tunDevice); err != nil {
		return "", &Failure{Step: "choose a network driver", Err: err}
	}
	for _, name := range Drivers() {
		if _, err := programOf(name); err == nil {
			return name, nil
		}
	}
	return "", &Failure{Step: "choose a network driver", Err: &NotInstalledError{Programs: Drivers()}}
}

// programOf is the file that a driver executes.
func programOf(name string) (string, error) {
	d, err := driverOf(name)
	if err != nil || filepath.IsAbs(d.program) {
		return d.program, err
	}
	return find(d.program, fixedDirs(), os.Getenv("PATH"))
}

// IsDriver says that a network is one of a driver's, or will be.
func IsDriver(name string) bool { return name == Auto || slices.Contains(Drivers(), name) }
