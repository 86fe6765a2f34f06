package slirp

import (
	"net/netip"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

func addrs(texts ...string) (ips []netip.Addr) {
	for _, s := range texts {
		ips = append(ips, netip.MustParseAddr(s))
	}
	return ips
}

func TestHosts(t *testing.T) {
	for name, c := range map[string]HostsConfig{
		"slirp": {Hostname: "0f3c9a", IPs: []netip.Addr{Settings{}.ContainerIP()}, Gateway: Settings{}.GatewayIP()},
		"extra": {
			Hostname: "web.example.com", IPs: []netip.Addr{Settings{}.ContainerIP()}, Gateway: Settings{}.GatewayIP(),
			Extra: []HostEntry{
				{Name: "db", IP: netip.MustParseAddr("192.0.2.7")},
				{Name: "six", IP: netip.MustParseAddr("2001:db8::1")},
				{Name: "host.docker.internal"},
			},
		},
		"none": {Hostname: "alone"},
		"host": {
			Hostname: "ignored", Base: []byte("127.0.0.1 localhost\n# kept\n192.0.2.1 box"),
			Extra: []HostEntry{{Name: "db", IP: netip.MustParseAddr("192.0.2.7")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Hosts(c)
			if err != nil {
				t.Fatal(err)
			}
			testenv.Golden(t, name+".hosts", string(got))
		})
	}
}

func TestHostsRefuses(t *testing.T) {
	for want, c := range map[string]HostsConfig{
		"host-gateway has no address": {Extra: []HostEntry{{Name: "gw"}}},
		`'\n' is not allowed`:         {Hostname: "a\n1.2.3.4 github.com"},
		`' ' is not allowed`:          {Extra: []HostEntry{{Name: "a b", IP: Settings{}.GatewayIP()}}},
		"longer than 63":              {Hostname: strings.Repeat("a", 64)},
	} {
		if got, err := Hosts(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %q, %v, want %q", c, got, err, want)
		}
	}
}

func TestParseAddHost(t *testing.T) {
	for value, want := range map[string]HostEntry{
		"db:192.0.2.7":             {Name: "db", IP: netip.MustParseAddr("192.0.2.7")},
		"db=192.0.2.7":             {Name: "db", IP: netip.MustParseAddr("192.0.2.7")},
		"a.b_c:2001:db8::1":        {Name: "a.b_c", IP: netip.MustParseAddr("2001:db8::1")},
		"six:[2001:db8::1]":        {Name: "six", IP: netip.MustParseAddr("2001:db8::1")},
		"six=[::1]":                {Name: "six", IP: netip.MustParseAddr("::1")},
		"host:host-gateway":        {Name: "host"},
		"host=host-gateway":        {Name: "host"},
		"host.docker.internal=::1": {Name: "host.docker.internal", IP: netip.MustParseAddr("::1")},
	} {
		if got, err := ParseAddHost(value); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", value, got, err, want)
		}
	}
	for _, value := range []string{
		"", "db", ":192.0.2.7", "=192.0.2.7", "db:", "db:nowhere", "db:192.0.2", "db:[192.0.2.7]",
		"db:fe80::1%eth0", "a b:192.0.2.7", "a\nb:192.0.2.7", "-a:192.0.2.7", "a..b:192.0.2.7",
		"db:192.0.2.7\n1.2.3.4 x", "db:host-gateway\n",
	} {
		if got, err := ParseAddHost(value); err == nil {
			t.Errorf("%q: %v, want an error", value, got)
		}
	}
}

func TestHostname(t *testing.T) {
	if got, err := Hostname("web.example.com"); err != nil || string(got) != "web.example.com\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Hostname("a\nb"); err == nil {
		t.Errorf("%q, want an error", got)
	}
}

func TestCheckHostname(t *testing.T) {
	for _, name := range []string{"a", "0f3c9a", "web-1", "web.example.com", strings.Repeat("a", 63)} {
		if err := CheckHostname(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{
		"", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "ä", "a\n", "a\x00", "a\r", strings.Repeat("a", 64),
	} {
		if CheckHostname(name) == nil {
			t.Errorf("%q passes", name)
		}
	}
}
