package iana

import (
	"net/netip"
	"testing"
)

func TestClassOf(t *testing.T) {
	for text, want := range map[string]Class{
		"8.8.8.8": Public, "1.1.1.1": Public, "2606:4700::1": Public, "2001:4860:4860::8888": Public,
		"127.0.0.1": Loopback, "127.9.9.9": Loopback, "::1": Loopback, "0.0.0.0": Loopback, "::": Loopback, "0.1.2.3": Loopback,
		"10.0.0.1": Private, "172.16.0.1": Private, "172.31.255.255": Private, "172.32.0.1": Public, "192.168.1.1": Private,
		"fd00::1": Private, "fc00::1": Private, "198.18.0.1": Private,
		"169.254.1.1": Local, "fe80::1": Local, "fe80::1%eth0": Local,
		"100.64.0.1": Shared, "100.127.255.255": Shared, "100.128.0.1": Public,
		"169.254.169.254": Special, "169.254.170.2": Special, "100.100.100.200": Special, "168.63.129.16": Special,
		"192.0.0.192": Special, "fd00:ec2::254": Special,
		"224.0.0.1": Special, "255.255.255.255": Special, "240.0.0.1": Special, "ff02::1": Special, "2001:db8::1": Special,
		"2001::1":          Special, // Teredo
		"::ffff:127.0.0.1": Loopback, "::ffff:10.0.0.1": Private, "::ffff:169.254.169.254": Special, "::ffff:8.8.8.8": Public,
		"64:ff9b::7f00:1": Loopback, "64:ff9b::a9fe:a9fe": Special, "64:ff9b::808:808": Public, "64:ff9b:1::1": Private,
		"2002:7f00:1::1": Loopback, "2002:a00:1::1": Private, "2002:808:808::1": Public, // 6to4
		"::7f00:1": Loopback, "::a9fe:a9fe": Special, "::2": Loopback, // IPv4-compatible
	} {
		if got := ClassOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
