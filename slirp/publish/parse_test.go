package publish

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var (
	every = netip.Addr{}
	lo4   = netip.MustParseAddr("127.0.0.1")
	lo6   = netip.MustParseAddr("::1")
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		specs string
		want  []Mapping
	}{
		{"", nil},
		{"80", []Mapping{{every, 0, 0, 80, "tcp"}}},
		{"80/udp", []Mapping{{every, 0, 0, 80, "udp"}}},
		{"80/TCP", []Mapping{{every, 0, 0, 80, "tcp"}}},
		{"80/", []Mapping{{every, 0, 0, 80, "tcp"}}},
		{":80", []Mapping{{every, 0, 0, 80, "tcp"}}},
		{"0:80", []Mapping{{every, 0, 0, 80, "tcp"}}},
		{"8080:80", []Mapping{{every, 8080, 8080, 80, "tcp"}}},
		{"8080:80/udp", []Mapping{{every, 8080, 8080, 80, "udp"}}},
		{"127.0.0.1:8080:80", []Mapping{{lo4, 8080, 8080, 80, "tcp"}}},
		{"127.0.0.1::80", []Mapping{{lo4, 0, 0, 80, "tcp"}}},
		{"0.0.0.0:8080:80", []Mapping{{netip.IPv4Unspecified(), 8080, 8080, 80, "tcp"}}},
		{"[::1]:8080:80", []Mapping{{lo6, 8080, 8080, 80, "tcp"}}},
		{"[::1]::80", []Mapping{{lo6, 0, 0, 80, "tcp"}}},
		{"[::ffff:127.0.0.1]:8080:80", []Mapping{{lo4, 8080, 8080, 80, "tcp"}}},
		{"80-82", []Mapping{{every, 0, 0, 80, "tcp"}, {every, 0, 0, 81, "tcp"}, {every, 0, 0, 82, "tcp"}}},
		{"8000-8001:80-81", []Mapping{{every, 8000, 8000, 80, "tcp"}, {every, 8001, 8001, 81, "tcp"}}},
		{"8000-8010:80", []Mapping{{every, 8000, 8010, 80, "tcp"}}},
		{"127.0.0.1:8000-8010:80/udp", []Mapping{{lo4, 8000, 8010, 80, "udp"}}},
		{"65535:65535", []Mapping{{every, 65535, 65535, 65535, "tcp"}}},
		{"65534-65535", []Mapping{{every, 0, 0, 65534, "tcp"}, {every, 0, 0, 65535, "tcp"}}},
		{"published=8080,target=80", []Mapping{{every, 8080, 8080, 80, "tcp"}}},
		{"target=80,protocol=udp", []Mapping{{every, 0, 0, 80, "udp"}}},
		{"8080:80 8080:80", []Mapping{{every, 8080, 8080, 80, "tcp"}}},
		{"80 80", []Mapping{{every, 0, 0, 80, "tcp"}, {every, 0, 0, 80, "tcp"}}},
		{"53:53 53:53/udp", []Mapping{{every, 53, 53, 53, "tcp"}, {every, 53, 53, 53, "udp"}}},
		{"127.0.0.1:80:80 [::1]:80:80", []Mapping{{lo4, 80, 80, 80, "tcp"}, {lo6, 80, 80, 80, "tcp"}}},
	} {
		got, err := Parse(strings.Fields(c.specs))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Parse(%q) = %v, %v; want %v", c.specs, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ specs, want string }{
		{":", `publish ":": no container port`},
		{"8080:", `publish "8080:": no container port`},
		{"/tcp", `publish "/tcp": no container port`},
		{"80:0", `publish "80:0": container port: 0 is not a port, 1 to 65535 are`},
		{"65536", `publish "65536": container port: "65536" is not a port, 1 to 65535 are`},
		{"65536:80", `publish "65536:80": host port: "65536" is not a port, 1 to 65535 are`},
		{"-1", `publish "-1": container port: "" is not a port, 1 to 65535 are`},
		{"80-", `publish "80-": container port: "" is not a port, 1 to 65535 are`},
		{"+80", `publish "+80": container port: "+80" is not a port, 1 to 65535 are`},
		{"0-9:80", `publish "0-9:80": host port: 0-9: a range starts at 1 or above`},
		{"90-80", `publish "90-80": container port: 90-80: the range ends before it starts`},
		{"8000-8001:80-82", `publish "8000-8001:80-82": 2 host ports for 3 container ports`},
		{"8000:80-82", `publish "8000:80-82": 1 host ports for 3 container ports`},
		{"80/sctp", `publish "80/sctp": sctp is not forwarded, tcp and udp are`},
		{"80/icmp", `publish "80/icmp": unknown protocol "icmp" (tcp and udp are known)`},
		{"80/udp:80", `publish "80/udp:80": host port: "80/udp" is not a port, 1 to 65535 are`},
		{"::1", `publish "::1": an IPv6 address is written in brackets, as in [::1]:8080:80`},
		{"::1:8080:80", `publish "::1:8080:80": an IPv6 address is written in brackets, as in [::1]:8080:80`},
		{"2001:db8::1:8080:80", `publish "2001:db8::1:8080:80": an IPv6 address is written in brackets, as in [::1]:8080:80`},
		{"[::1]:80", `publish "[::1]:80": after [ADDRESS] come :HOST:CONTAINER`},
		{"[::1:80:80", `publish "[::1:80:80": after [ADDRESS] come :HOST:CONTAINER`},
		{"[::1]80:80", `publish "[::1]80:80": after [ADDRESS] come :HOST:CONTAINER`},
		{"[127.0.0.1]:80:80", `publish "[127.0.0.1]:80:80": "127.0.0.1" is no IPv6 address`},
		{"[fe80::1%eth0]:80:80", `publish "[fe80::1%eth0]:80:80": address fe80::1%eth0: an interface's name cannot be given here`},
		{"localhost:80:80", `publish "localhost:80:80": "localhost" is no IP address`},
		{"127.0.0.256:80:80", `publish "127.0.0.256:80:80": "127.0.0.256" is no IP address`},
		{"published=80", `publish "published=80": no container port`},
		{"target=80,x", `publish "target=80,x": "x" is not name=value`},
		{"target=80,mode=host", `publish "target=80,mode=host": unknown name "mode" (published, target and protocol are known)`},
		{"8080:80 8080:81", `publish "8080:81": host port 8080/tcp is used twice`},
		{"8080:80 127.0.0.1:8080:80", `publish "127.0.0.1:8080:80": host port 8080/tcp is used twice`},
	} {
		got, err := Parse(strings.Fields(c.specs))
		if err == nil || err.Error() != c.want {
			t.Errorf("Parse(%q) = %v, %v; want error %s", c.specs, got, err, c.want)
		}
	}
	if _, err := Parse([]string{""}); err == nil || err.Error() != `publish "": no container port` {
		t.Errorf(`Parse("") = %v`, err)
	}
}

func TestParseExposed(t *testing.T) {
	got, err := ParseExposed([]string{"8000-8001", "80/udp", "80", "80/tcp"})
	want := []Port{{80, "tcp"}, {80, "udp"}, {8000, "tcp"}, {8001, "tcp"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseExposed = %v, %v; want %v", got, err, want)
	}
	for spec, want := range map[string]string{
		"8080:80": `expose "8080:80": a host port is given with -p`,
		"0":       `expose "0": container port: 0 is not a port, 1 to 65535 are`,
		"":        `expose "": no container port`,
		"9/sctp":  `expose "9/sctp": sctp is not forwarded, tcp and udp are`,
	} {
		if _, err := ParseExposed([]string{spec}); err == nil || err.Error() != want {
			t.Errorf("ParseExposed(%q): %v, want %s", spec, err, want)
		}
	}
}

func TestAll(t *testing.T) {
	given := []Mapping{{lo4, 8080, 8080, 80, "tcp"}}
	got := All(given, []Port{{443, "tcp"}, {80, "tcp"}, {80, "udp"}})
	want := append(given[:1:1], Mapping{every, 0, 0, 80, "udp"}, Mapping{every, 0, 0, 443, "tcp"})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("All = %v, want %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"80", "8080:80/udp", "[::1]:8000-8010:80", "127.0.0.1::80", "published=1,target=2", "::1", "80-90"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		mappings, err := Parse([]string{spec})
		if (err == nil) != (len(mappings) > 0) {
			t.Fatalf("%q: %d mappings, error %v", spec, len(mappings), err)
		}
		for _, m := range mappings {
			if m.Container == 0 || m.HostLast < m.HostFirst || (m.HostFirst == 0) != (m.HostLast == 0) || (m.Protocol != TCP && m.Protocol != UDP) {
				t.Fatalf("%q: %+v", spec, m)
			}
		}
	})
}
