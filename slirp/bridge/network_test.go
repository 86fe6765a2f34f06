package bridge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestComplete(t *testing.T) {
	others := []Network{standard(), {Name: "first", Subnet4: netip.MustParsePrefix("10.89.0.0/24"), Subnet6: netip.MustParsePrefix("fd01::/64")}}
	host := prefixes("10.89.1.0/24", "192.168.7.0/24")
	for name, test := range map[string]struct {
		subnet4, subnet6, gateway, within string
		want, wantGateway                 string
		fails                             string
	}{
		"any":                    {want: "10.89.2.0/24", wantGateway: "10.89.2.1"},
		"chosen":                 {subnet4: "10.9.0.5/24", want: "10.9.0.0/24", wantGateway: "10.9.0.1"},
		"of the host's":          {subnet4: "192.168.7.0/24", want: "192.168.7.0/24", wantGateway: "192.168.7.1"}, // his choice
		"gateway":                {subnet4: "10.9.0.0/24", gateway: "10.9.0.254", want: "10.9.0.0/24", wantGateway: "10.9.0.254"},
		"range":                  {subnet4: "10.9.0.0/24", within: "10.9.0.128/25", want: "10.9.0.0/24", wantGateway: "10.9.0.1"},
		"IPv6":                   {subnet6: "fd02::/64", want: "10.89.2.0/24", wantGateway: "10.89.2.1"},
		"overlaps":               {subnet4: "10.89.0.128/25", fails: "overlaps 10.89.0.0/24 of the network first"},
		"overlaps all":           {subnet4: "10.0.0.0/8", fails: "overlaps"},
		"IPv6 overlaps":          {subnet6: "fd01::/64", fails: "overlaps fd01::/64"},
		"foreign gateway":        {subnet4: "10.9.0.0/24", gateway: "10.9.1.1", fails: "the gateway 10.9.1.1 is not of the subnet"},
		"broadcast as a gateway": {subnet4: "10.9.0.0/24", gateway: "10.9.0.255", fails: "is not of the subnet"},
		"range outside":          {subnet4: "10.9.0.0/24", within: "10.9.1.0/25", fails: "not within"},
		"range around":           {subnet4: "10.9.0.0/24", within: "10.9.0.0/23", fails: "not within"},
		"too small":              {subnet4: "10.9.0.0/31", fails: "want 8 to 30 bits"},
		"too large":              {subnet4: "10.0.0.0/7", fails: "want 8 to 30 bits"},
		"loopback":               {subnet4: "127.1.0.0/16", fails: "none that a container can have"},
		"multicast":              {subnet4: "239.1.0.0/16", fails: "none that a container can have"},
		"link-local":             {subnet6: "fe80::/64", fails: "none that a container can have"},
	} {
		n := Network{Name: "n"}
		for text, into := range map[string]*netip.Prefix{test.subnet4: &n.Subnet4, test.subnet6: &n.Subnet6, test.within: &n.Range4} {
			if text != "" {
				*into = netip.MustParsePrefix(text)
			}
		}
		if test.gateway != "" {
			n.Gateway4 = netip.MustParseAddr(test.gateway)
		}
		err := n.complete(others, host)
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: %v, want %q", name, err, test.fails)
			}
			continue
		}
		if err != nil || n.Subnet4.String() != test.want || n.Gateway4.String() != test.wantGateway {
			t.Errorf("%s: %v by %v, %v; want %s by %s", name, n.Subnet4, n.Gateway4, err, test.want, test.wantGateway)
		}
	}
	if p := free(prefixes("10.89.0.0/16")); p.IsValid() {
		t.Errorf("%v is free in a pool that is taken", p)
	}
}

func TestLeases(t *testing.T) {
	n := Network{Name: "n", Subnet4: netip.MustParsePrefix("10.9.0.0/29"), Subnet6: netip.MustParsePrefix("fd09::/64")}
	if err := n.complete(nil, nil); err != nil {
		t.Fatal(err)
	}
	l := newLeases(n)
	var given []Joined
	for _, want := range []string{"10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6"} {
		j, err := l.take(Join{Name: "some"})
		if err != nil || j.Address4.String() != want+"/29" || !strings.HasPrefix(j.MAC, "02:42:0a:09:00:") || !n.Subnet6.Contains(j.Address6.Addr()) {
			t.Fatalf("%+v, %v, want %s", j, err, want)
		}
		given = append(given, j)
	}
	if j, err := l.take(Join{Name: "late"}); err == nil || !strings.Contains(err.Error(), "every address") {
		t.Errorf("%+v, %v of a network that is full", j, err)
	}
	l.giveBack(given[1])
	l.giveBack(given[3])
	for name, test := range map[string]struct{ ip, fails string }{
		"taken":     {"10.9.0.2", "is taken in the network n, by some"},
		"gateway":   {"10.9.0.1", "by the gateway"},
		"elsewhere": {"10.9.1.2", "is not of the network n"},
		"broadcast": {"10.9.0.7", "is not of the network n"},
	} {
		if _, err := l.take(Join{IP4: netip.MustParseAddr(test.ip)}); err == nil || !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%s: %v, want %q", name, err, test.fails)
		}
	}
	if _, err := l.take(Join{IP4: netip.MustParseAddr("10.9.0.3"), Hardware: given[0].MAC}); err == nil {
		t.Error("a hardware address was given twice")
	}
	j, err := l.take(Join{Name: "again", IP4: netip.MustParseAddr("10.9.0.5"), Hardware: "02:00:00:00:00:09"})
	if err != nil || j.MAC != "02:00:00:00:00:09" {
		t.Errorf("%+v, %v", j, err)
	}
	if j, err = l.take(Join{Name: "next"}); err != nil || j.Address4.Addr().String() != "10.9.0.3" {
		t.Errorf("%+v, %v, want the one that is left", j, err)
	}
}

// Who comes does not get the address of one who has just left.
func TestLeasesGoRound(t *testing.T) {
	n := Network{Name: "n", Subnet4: netip.MustParsePrefix("10.9.0.0/24")}
	if err := n.complete(nil, nil); err != nil {
		t.Fatal(err)
	}
	l := newLeases(n)
	first, _ := l.take(Join{Name: "a"})
	l.giveBack(first)
	if second, err := l.take(Join{Name: "b"}); err != nil || second.Address4 == first.Address4 {
		t.Errorf("%v, %v", second.Address4, err)
	}
}

func TestNames(t *testing.T) {
	member := func(id, name, ip string, aliases ...string) port {
		return port{
			Join:   Join{ID: strings.Repeat(id, 64), Name: name, Hostname: "host-" + name, Aliases: aliases},
			Joined: Joined{Address4: netip.MustParsePrefix(ip + "/24"), MAC: id},
		}
	}
	asked := ""
	n := newNames(func(network, name string) []netip.Addr {
		asked += network + "/" + name + " "
		if name == "far" {
			return []netip.Addr{netip.MustParseAddr("10.10.0.9")}
		}
		return nil
	})
	db, web, web2 := member("a", "db", "10.9.0.2", "data"), member("b", "web", "10.9.0.3", "www"), member("c", "web2", "10.9.0.4", "www")
	web.Also = []string{"other"}
	for _, p := range []port{db, web, web2} {
		n.put(p)
	}
	at := netip.MustParseAddr
	for name, want := range map[string][]string{
		"db": {"10.9.0.2"}, "data": {"10.9.0.2"}, "host-db": {"10.9.0.2"}, "aaaaaaaaaaaa": {"10.9.0.2"},
		"www": {"10.9.0.3", "10.9.0.4"}, "far": {"10.10.0.9"}, "nobody": nil, "aaaa": nil, "": nil,
	} {
		found, known := n.Lookup(at("10.9.0.3"), name)
		var got []string
		for _, ip := range found {
			got = append(got, ip.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || known != (len(want) > 0) {
			t.Errorf("%q: %v, %v, want %v", name, got, known, want)
		}
	}
	asked = ""
	if found, _ := n.Lookup(at("10.9.0.2"), "far"); found != nil || asked != "" {
		t.Errorf("one who is in no other network found %v there, after %q", found, asked)
	}
	if name := n.NameOf(at("10.9.0.4")); name != "web2" {
		t.Errorf("10.9.0.4 is %q", name)
	}
	n.remove("a")
	if found, known := n.Lookup(at("10.9.0.3"), "db"); known {
		t.Errorf("one who left is found at %v", found)
	}
}

func TestCheckOptions(t *testing.T) {
	for text, ok := range map[string]bool{"1500": true, "65520": true, "100": false, "x": false, "70000": false} {
		n := Network{Options: map[string]string{"com.docker.network.driver.mtu": text}}
		if err := CheckOptions(n.Options); (err == nil) != ok {
			t.Errorf("mtu %s: %v", text, err)
		}
	}
	if err := CheckOptions(map[string]string{"isolate": "true"}); err == nil {
		t.Error("an unknown option was taken")
	}
	if mtu := (Network{Options: map[string]string{"mtu": "1400"}}).MTU(); mtu != 1400 {
		t.Errorf("MTU %d", mtu)
	}
}
