package publish

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Who comes as whom, without a kernel.
func TestRoute(t *testing.T) {
	both := Options{Container4: ownIP4, Container6: ownIP6, Gateway4: gateway4, Gateway6: gateway6}
	only4 := Options{Container4: ownIP4, Gateway4: gateway4}
	only6 := Options{Container6: ownIP6, Gateway6: gateway6}
	noGateway := Options{Container4: ownIP4, Container6: ownIP6}
	shown := map[int]bool{unix.AF_INET: true, unix.AF_INET6: true}
	for _, c := range []struct {
		name           string
		options        Options
		shown          map[int]bool
		client         string
		target, source string
	}{
		{"as it is", both, shown, "192.0.2.7:1", "10.0.2.100", "192.0.2.7:1"},
		{"as it is, IPv6", both, shown, "[2001:db8::7]:1", "fd00::100", "[2001:db8::7]:1"},
		{"as it is, in IPv6's clothes", both, shown, "[::ffff:192.0.2.7]:1", "10.0.2.100", "192.0.2.7:1"},
		{"loopback", both, shown, "127.0.0.1:1", "10.0.2.100", "10.0.2.2:1"},
		{"all of loopback", both, shown, "127.9.9.9:1", "10.0.2.100", "10.0.2.2:1"},
		{"loopback, IPv6", both, shown, "[::1]:1", "fd00::100", "[fd00::2]:1"},
		{"the container's own", both, shown, "10.0.2.100:1", "10.0.2.100", "10.0.2.2:1"},
		{"the container's own, IPv6", both, shown, "[fd00::100]:1", "fd00::100", "[fd00::2]:1"},
		{"link-local", both, shown, "[fe80::1%eth0]:1", "fd00::100", "[fd00::2]:1"},
		{"no IPv6 inside", only4, shown, "[2001:db8::7]:1", "10.0.2.100", "10.0.2.2:1"},
		{"no IPv4 inside", only6, shown, "192.0.2.7:1", "fd00::100", "[fd00::2]:1"},
		{"no gateway", noGateway, shown, "192.0.2.7:1", "10.0.2.100", "192.0.2.7:1"},
		{"no gateway for loopback", noGateway, shown, "127.0.0.1:1", "10.0.2.100", ""},
		{"rules failed", both, nil, "192.0.2.7:1", "10.0.2.100", ""},
		{"no address", Options{}, shown, "192.0.2.7:1", "", ""},
	} {
		s := &server{Options: c.options, shown: c.shown}
		target, source := s.route(netip.MustParseAddrPort(c.client))
		if got := target.String(); got != c.target && (c.target != "" || target.IsValid()) {
			t.Errorf("%s: goes to %s, want %s", c.name, got, c.target)
		}
		if got := source.String(); got != c.source && (c.source != "" || source.IsValid()) {
			t.Errorf("%s: comes as %s, want %s", c.name, got, c.source)
		}
	}
}

func TestServeRefusesWhatIsNoNamespace(t *testing.T) {
	need(t)
	null, err := os.Open(os.DevNull)
	check(t, err)
	defer null.Close()
	settled(t, func() {
		for _, spec := range []string{"8080:80", "8080:80/udp"} {
			mappings, err := Parse([]string{spec})
			check(t, err)
			bound, files, err := Listen(t.Context(), mappings, "/proc")
			check(t, err)
			err = Serve(t.Context(), Options{Listeners: files, Bound: bound, Netns: null, Container4: ownIP4})
			if err == nil || !strings.HasPrefix(err.Error(), "join the container's network: setns: ") {
				t.Errorf("Serve: %v", err)
			}
			bound, files, err = Listen(t.Context(), mappings, "/proc")
			check(t, err)
			if err := Serve(t.Context(), Options{Listeners: files[:1], Bound: bound}); err == nil {
				t.Error("a socket is missing, and Serve does not mind")
			}
			closeFiles(files)
		}
	})
	bound, err := listen(t, "8080:80", "8080:80/udp")
	check(t, err)
	if len(bound) != 4 {
		t.Errorf("bound %v", bound)
	}
}
