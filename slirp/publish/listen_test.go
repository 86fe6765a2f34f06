package publish

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listen is Listen of the test's specifications; the sockets end with the test.
func listen(t *testing.T, specs ...string) ([]Bound, error) {
	t.Helper()
	mappings, err := Parse(specs)
	check(t, err)
	bound, files, err := Listen(t.Context(), mappings, "/proc")
	t.Cleanup(func() { closeFiles(files) })
	return bound, err
}

// take has this process listen on an address.
func take(t *testing.T, network, address string) netip.AddrPort {
	t.Helper()
	if strings.HasPrefix(network, UDP) {
		conn, err := net.ListenPacket(network, address)
		check(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	listener, err := net.Listen(network, address)
	check(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

func TestListenRandom(t *testing.T) {
	need(t)
	bound, err := listen(t, "80", "80/udp", "127.0.0.1::81")
	check(t, err)
	if len(bound) != 5 {
		t.Fatalf("bound %v", bound)
	}
	for _, pair := range [][]Bound{bound[:2], bound[2:4]} {
		if pair[0].HostPort == 0 || pair[0].HostPort != pair[1].HostPort || !pair[0].HostIP.Is4() || !pair[1].HostIP.Is6() {
			t.Errorf("IPv4 and IPv6 have %v", pair)
		}
	}
}

func TestListenRange(t *testing.T) {
	need(t)
	take(t, "tcp4", "127.0.0.1:8000") // in the way of 0.0.0.0
	take(t, "tcp6", "[::1]:8001")     // of [::] alone
	bound, err := listen(t, "8000-8003:80")
	check(t, err)
	if got, want := Column(bound, nil), "0.0.0.0:8002->80/tcp, [::]:8002->80/tcp"; got != want {
		t.Errorf("bound %s, want %s", got, want)
	}
	bound, err = listen(t, "8000-8003:80")
	check(t, err)
	if bound[0].HostPort != 8003 {
		t.Errorf("bound %v, want 8003", bound)
	}
	_, err = listen(t, "8000-8003:80")
	if want := "ports 8000-8003/tcp of 0.0.0.0 are all taken"; err == nil || err.Error() != want {
		t.Errorf("the range is full: %v, want %s", err, want)
	}
}

// One who may choose does not take what another needs.
func TestListenOrder(t *testing.T) {
	need(t)
	bound, err := listen(t, "8140-8141:80", "8140:81")
	check(t, err)
	if got, want := Column(bound[:2], nil), "0.0.0.0:8141->80/tcp, [::]:8141->80/tcp"; got != want {
		t.Errorf("bound %s, want %s", got, want)
	}
}

func TestListenTaken(t *testing.T) {
	need(t)
	comm, err := os.ReadFile("/proc/self/comm")
	check(t, err)
	me := fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid())
	for _, c := range []struct{ network, address, spec, want string }{
		{"tcp4", "127.0.0.1:8100", "127.0.0.1:8100:80", "port 127.0.0.1:8100/tcp is taken by " + me},
		{"tcp4", "127.0.0.1:8101", "8101:80", "port 0.0.0.0:8101/tcp is taken by " + me},
		{"tcp4", "0.0.0.0:8102", "127.0.0.1:8102:80", "port 127.0.0.1:8102/tcp is taken by " + me},
		{"tcp", "[::]:8103", "8103:80", "port 0.0.0.0:8103/tcp is taken by " + me},
		{"tcp6", "[::1]:8104", "[::1]:8104:80", "port [::1]:8104/tcp is taken by " + me},
		{"tcp6", "[2001:db8::1]:8105", "8105:80", "port [::]:8105/tcp is taken by " + me},
		{"udp4", "127.0.0.1:8106", "8106:80/udp", "port 0.0.0.0:8106/udp is taken by " + me},
		{"udp6", "[::1]:8107", "[::1]:8107:80/udp", "port [::1]:8107/udp is taken by " + me},
	} {
		take(t, c.network, c.address)
		_, err := listen(t, c.spec)
		if err == nil || err.Error() != c.want || !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%s with %s taken: %v, want %s", c.spec, c.address, err, c.want)
		}
	}
}

// Whom procfs does not show is not named; whoever is outside may look again.
func TestListenTakenByTheUnseen(t *testing.T) {
	need(t)
	take(t, "tcp4", "127.0.0.1:8110")
	mappings, err := Parse([]string{"127.0.0.1:8110:80"})
	check(t, err)
	_, _, err = Listen(t.Context(), mappings, t.TempDir())
	if want := "port 127.0.0.1:8110/tcp is taken"; err == nil || err.Error() != want {
		t.Fatalf("%v, want %s", err, want)
	}
	var failure *BindError
	if !errors.As(err, &failure) {
		t.Fatalf("%T", err)
	}
	text, err := json.Marshal(failure) // as it goes from the monitor to the command
	check(t, err)
	failure = &BindError{}
	check(t, json.Unmarshal(text, failure))
	if failure.FindHolder("/proc"); failure.Holder.PID != os.Getpid() {
		t.Errorf("holder %+v", failure.Holder)
	}
}

// What was bound before an error is free after it.
func TestListenLeavesNothingBound(t *testing.T) {
	need(t)
	take(t, "tcp4", "127.0.0.1:8123")
	settled(t, func() {
		_, err := listen(t, "8120:80", "8121:80/udp", "8122-8123:80-81")
		if err == nil {
			t.Fatal("a taken port was bound")
		}
	})
	for _, port := range []string{"8120", "8122"} {
		take(t, "tcp4", "0.0.0.0:"+port)
		take(t, "tcp6", "[::]:"+port)
	}
}

func TestListenNoSuchAddress(t *testing.T) {
	need(t)
	for spec, want := range map[string]string{
		"203.0.113.9:8130:80":  "port 203.0.113.9:8130/tcp: this host does not have the address 203.0.113.9",
		"[2001:db8:1::9]::80":  "port [2001:db8:1::9]:0/tcp: this host does not have the address 2001:db8:1::9",
		"203.0.113.9::80/udp":  "port 203.0.113.9:0/udp: this host does not have the address 203.0.113.9",
		"203.0.113.9:1-9:7":    "port 203.0.113.9:1/tcp: this host does not have the address 203.0.113.9",
		"[::ffff:9.9.9.9]::80": "port 9.9.9.9:0/tcp: this host does not have the address 9.9.9.9",
	} {
		if _, err := listen(t, spec); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
}

func TestListenPrivileged(t *testing.T) {
	need(t)
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	check(t, err)
	start, err := strconv.Atoi(strings.TrimSpace(string(text)))
	check(t, err)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: it has lost its capabilities
		if err := dropCapabilities(); err != nil {
			done <- err
			return
		}
		_, err := listen(t, "80:80")
		done <- err
	}()
	err = <-done
	want := fmt.Sprintf("port 0.0.0.0:80/tcp needs a privilege: net.ipv4.ip_unprivileged_port_start is %d: bind: permission denied", start)
	if err == nil || err.Error() != want {
		t.Fatalf("%v, want %s", err, want)
	}
	var failure *BindError
	if errors.As(err, &failure); failure.Hint() != fmt.Sprintf("publish port %d or above, or as root: sysctl -w net.ipv4.ip_unprivileged_port_start=80", start) {
		t.Errorf("hint %q", failure.Hint())
	}
}

// dropCapabilities is for the calling thread.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{}
	return unix.Capset(&header, &data[0])
}

func TestListenEnds(t *testing.T) {
	need(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Listen(ctx, []Mapping{{Container: 80, Protocol: TCP}}, "/proc"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v after the end", err)
	}
}

func TestParseHex(t *testing.T) {
	loopback := binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32([]byte{127, 0, 0, 1}))
	mapped := fmt.Sprintf("%016X%X%X", 0, binary.NativeEndian.AppendUint32(nil, 0xffff), loopback)
	for text, want := range map[string]string{
		fmt.Sprintf("%X:1F90", loopback):        "127.0.0.1:8080",
		mapped + ":1F90":                        "127.0.0.1:8080",
		"00000000000000000000000000000000:0050": "[::]:80",
	} {
		if got, ok := parseHex(text); !ok || got.String() != want {
			t.Errorf("%s is %v, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "01:50", "zz:50", "00000000", "0000000000:50"} {
		if got, ok := parseHex(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
