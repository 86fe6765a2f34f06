package slirp

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	prefix := netip.MustParsePrefix
	for text, want := range map[string]struct {
		name     string
		settings Settings
	}{
		"": {name: Auto}, "auto": {name: Auto}, "default": {name: Auto}, "none": {name: None}, "host": {name: Host},
		"pasta":                           {name: Pasta},
		"pasta:":                          {name: Pasta},
		"auto:mtu=1500":                   {Auto, Settings{MTU: 1500}},
		"slirp4netns:allow-host-loopback": {Slirp4netns, Settings{HostLoopback: true}},
		"slirp4netns:allow_host_loopback=true,mtu=9000,cidr=10.9.3.7/24": {
			Slirp4netns, Settings{HostLoopback: true, MTU: 9000, Subnet: prefix("10.9.3.0/24")},
		},
		"pasta:allow-host-loopback=false": {name: Pasta},
	} {
		name, settings, err := ParseNetwork(text)
		if err != nil || name != want.name || settings != want.settings {
			t.Errorf("%q: %s, %+v, %v", text, name, settings, err)
		}
	}
	for text, says := range map[string]string{
		"carrier-pigeon":                "unknown network",
		"none:mtu=1":                    "has no options",
		"host:":                         "",
		"pasta:mtu":                     "mtu=: invalid syntax",
		"pasta:mtu=575":                 "want 576 to 65521",
		"pasta:mtu=65522":               "want 576 to 65521",
		"pasta:cidr=10.0.2.0/26":        "at most 25 bits",
		"pasta:cidr=0.0.0.0/0":          "at most 25 bits",
		"pasta:cidr=fd00::/64":          "want IPv4",
		"pasta:cidr=10.0.2.0":           "cidr=10.0.2.0",
		"pasta:port_handler=slirp":      "unknown option",
		"pasta:allow-host-loopback=yes": "invalid syntax",
		"pasta:mtu=1500,":               "unknown option",
	} {
		_, _, err := ParseNetwork(text)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q in it", text, err, says)
		}
	}
}

func TestAddresses(t *testing.T) {
	for subnet, want := range map[string]string{"": "10.0.2.2 10.0.2.3 10.0.2.100", "10.7.1.128/25": "10.7.1.130 10.7.1.131 10.7.1.228", "172.16.0.0/12": "172.16.0.2 172.16.0.3 172.16.0.100"} {
		var s Settings
		if subnet != "" {
			s.Subnet = netip.MustParsePrefix(subnet)
		}
		got := strings.Join([]string{s.GatewayIP().String(), s.NameserverIP().String(), s.ContainerIP().String()}, " ")
		if got != want {
			t.Errorf("%s: %s, want %s", subnet, got, want)
		}
	}
}
