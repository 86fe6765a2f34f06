package slirptest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/slirp"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
)

// kept is a container that may connect where rules say, and what it was kept from.
type kept struct {
	*container
	h       *slirp.Helper
	refused *os.File
}

func (s suite) keep(t *testing.T, settings slirp.Settings, allowed ...string) kept {
	t.Helper()
	k := kept{container: newContainer(t)}
	name := filepath.Join(t.TempDir(), "refused")
	var err error
	if k.refused, err = os.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.refused.Close() })
	o := s.options(t, k.container)
	o.Settings, o.Egress.Allowed = settings, allowed
	if o.Egress.Refused, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	if k.h, err = slirp.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.h.Stop)
	if err := k.h.Ready(); err != nil {
		t.Fatal(err)
	}
	return k
}

// lists waits until exactly these were refused: "tcp 192.0.2.1:80 2".
func (k kept) lists(want ...string) {
	k.t.Helper()
	slices.Sort(want)
	var got []string
	for range 200 {
		refused, _, err := egress.Read(k.refused)
		if err != nil {
			k.t.Fatal(err)
		}
		got = nil
		for _, r := range refused {
			where := r.Name
			if r.Address != "" {
				where = net.JoinHostPort(r.Address, fmt.Sprint(r.Port))
			}
			got = append(got, fmt.Sprintf("%s %s %d", r.Protocol, where, r.Count))
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.t.Errorf("refused: %q, want %q", got, want)
}

// prohibited dials and has to be refused, at once.
func (k kept) prohibited(network, address string) {
	k.t.Helper()
	began := time.Now()
	got := k.ask("dial", network, address)
	if !strings.Contains(got, "no route to host") && !strings.Contains(got, "permission denied") {
		k.t.Errorf("%s %s: %s", network, address, got)
	}
	if took := time.Since(began); took > time.Second/2 {
		k.t.Errorf("%s %s: refused after %v", network, address, took)
	}
}

func (k kept) reaches(network, address string) {
	k.t.Helper()
	if got := k.ask("dial", network, address); got != "reached" {
		k.t.Errorf("%s %s: %s", network, address, got)
	}
}

// egress allows a port, a name, and a port everywhere.
func (s suite) egress(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("93.184.216.34 api.example.com\n10.9.8.7 inside.example.com\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount("/etc/hosts", unix.MNT_DETACH) }()
	outer := outside(t)
	good, _ := listen(t, outer)
	bad, hits := listen(t, outer)
	k := s.keep(t, slirp.Settings{}, outer+":"+good, "*.example.com:443")
	if got := k.ask("interface", slirp.Device); !strings.HasPrefix(got, fmt.Sprint(slirp.DefaultMTU, true, " [10.0.2.100/24")) {
		t.Errorf("%s is %q", slirp.Device, got)
	}
	for _, network := range []string{"tcp", "udp"} {
		k.reaches(network, net.JoinHostPort(outer, good))
		k.prohibited(network, net.JoinHostPort(outer, bad))
		k.prohibited(network, net.JoinHostPort(outer, bad))
	}
	k.prohibited("udp", "192.0.2.200:53") // another name server is a destination like others
	k.prohibited("tcp", "93.184.216.34:443")
	if hits() != 0 {
		t.Error("something came through")
	}
	want := []string{
		"tcp " + net.JoinHostPort(outer, bad) + " 2", "udp " + net.JoinHostPort(outer, bad) + " 2",
		"udp 192.0.2.200:53 1", "tcp 93.184.216.34:443 1",
	}
	k.lists(want...)

	// A name opens its public addresses, for its port.
	for name, address := range map[string]string{"api.example.com": "93.184.216.34", "inside.example.com": "10.9.8.7"} {
		for _, network := range []string{"udp", "tcp"} {
			if got := k.ask("resolve", network, name); got != address {
				t.Errorf("%s is %q, asked by %s", name, got, network)
			}
		}
	}
	if got := k.ask("resolve", "udp", "other.example"); got != "RCodeRefused" {
		t.Errorf("other.example: %s", got)
	}
	k.ask("send", "93.184.216.34:443") // where nobody is, here; but it is let through
	k.prohibited("udp", "93.184.216.34:80")
	k.prohibited("tcp", "10.9.8.7:443")
	k.lists(append(want, "udp 93.184.216.34:80 1", "tcp 10.9.8.7:443 1", "dns other.example 1")...)
}

// egressNone is under way to nowhere; the host's loopback is no exception where it is open.
func (s suite) egressNone(t *testing.T) {
	outer := outside(t)
	port, hits := listen(t, outer)
	loopback, loopbackHits := listen(t, "127.0.0.1")
	gateway := slirp.Settings{}.GatewayIP().String()
	k := s.keep(t, slirp.Settings{HostLoopback: true}, egress.None)
	var want []string
	for _, address := range []string{net.JoinHostPort(outer, port), net.JoinHostPort(gateway, loopback)} {
		for _, network := range []string{"tcp", "udp"} {
			k.prohibited(network, address)
			want = append(want, network+" "+address+" 1")
		}
	}
	if six := slirp.HostIP6(); six.IsValid() && !builtin.DefaultNet6.Contains(six) {
		port6, hits6 := listen(t, "["+six.String()+"]")
		k.prohibited("tcp", net.JoinHostPort(six.String(), port6))
		want = append(want, "tcp "+net.JoinHostPort(six.String(), port6)+" 1")
		if hits6() != 0 {
			t.Error("something came through by IPv6")
		}
		all := s.keep(t, slirp.Settings{}, six.String())
		all.reaches("tcp", net.JoinHostPort(six.String(), port6))
		all.reaches("udp", net.JoinHostPort(six.String(), port6))
	}
	k.lists(want...)
	if hits() != 0 || loopbackHits() != 0 {
		t.Error("something came through")
	}
	open := s.keep(t, slirp.Settings{HostLoopback: true}, gateway+":"+loopback)
	open.reaches("tcp", net.JoinHostPort(gateway, loopback))
	open.reaches("udp", net.JoinHostPort(gateway, loopback))
	closed := s.keep(t, slirp.Settings{}, gateway+":"+loopback)
	if got := closed.ask("dial", "tcp", net.JoinHostPort(gateway, loopback)); !strings.Contains(got, "connection refused") {
		t.Errorf("the gateway: %s", got)
	}
}

// egressForged has root in the container make up packets, so that what is refused would
// look like an answer: to a connection that was never there, or from our own name server.
func (s suite) egressForged(t *testing.T) {
	outer := outside(t)
	bad, hits := listen(t, outer)
	target := net.JoinHostPort(outer, bad)
	container := slirp.Settings{}.ContainerIP().String()
	k := s.keep(t, slirp.Settings{}, "*:4444")
	k.prohibited("udp", target) // and the gateway's hardware address is known
	for _, forged := range [][2]string{
		{target, container + ":4444"},                              // a connection that it would be the answer of
		{target, slirp.Settings{}.NameserverIP().String() + ":53"}, // a question whose answer goes there
		{target, slirp.Settings{}.GatewayIP().String() + ":9"},     // a refusal that does
		{container + ":4444", target},                              // the answer
		{"198.51.100.7:4444", target},
	} {
		if got := k.ask("forge", forged[0], forged[1]); got != "sent" {
			t.Errorf("%s to %s: %s", forged[0], forged[1], got)
		}
	}
	k.prohibited("udp", target)
	time.Sleep(50 * time.Millisecond)
	if n := hits(); n != 0 {
		t.Errorf("%d packets came through", n)
	}
}

// egressDies: who decides takes the driver with it, and nothing is open after that.
func (s suite) egressDies(t *testing.T) {
	outer := outside(t)
	port, _ := listen(t, outer)
	k := s.keep(t, slirp.Settings{}, outer)
	k.reaches("tcp", net.JoinHostPort(outer, port))
	if err := unix.Kill(k.h.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.tellsDeath(t, k.h)
	if got := k.ask("dial", "tcp", net.JoinHostPort(outer, port)); got == "reached" {
		t.Error("still open")
	}
	// Another takes its place.
	again := s.options(t, k.container)
	again.Egress.Allowed = []string{outer}
	refused, err := os.OpenFile(k.refused.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	again.Egress.Refused = refused
	h, err := slirp.Start(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	if err := h.Ready(); err != nil {
		t.Fatal(err)
	}
	k.reaches("tcp", net.JoinHostPort(outer, port))
}

// noGate: where the kernel's settings cannot be written, as in a container around us, the
// error says what does without.
func (s suite) noGate(t *testing.T) {
	if s.driver == slirp.Builtin {
		return
	}
	if err := unix.Mount("tmpfs", "/proc/sys", "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount("/proc/sys", unix.MNT_DETACH) }()
	o := s.options(t, newContainer(t))
	o.Egress.Allowed = []string{egress.None}
	var err error
	if o.Egress.Refused, err = os.Create(filepath.Join(t.TempDir(), "refused")); err != nil {
		t.Fatal(err)
	}
	h, err := slirp.Start(t.Context(), o)
	if err == nil {
		err = h.Ready()
	}
	var f *slirp.Failure
	if !errors.As(err, &f) || !strings.Contains(f.Hint(), "--network builtin") {
		t.Errorf("Ready says %v", err)
	}
}
