package gate

import (
	"fmt"
	"net/netip"
	"testing"

	"rootlet/internal/iana"
	"rootlet/internal/testenv"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
)

// sidesOf are those of a container with the usual addresses.
func sidesOf(net6, loopback bool) []side {
	o := Options{
		Link:     builtin.Link{Net4: builtin.DefaultNet4},
		Gateway4: netip.MustParseAddr("10.0.2.2"), Nameserver4: netip.MustParseAddr("10.0.2.3"),
		HostLoopback: loopback, HostLoopback6: loopback,
	}
	if net6 {
		o.Link.Net6 = builtin.DefaultNet6
		o.Gateway6, o.Nameserver6 = netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::3")
	}
	return o.sides()
}

func TestRulesets(t *testing.T) {
	for name, test := range map[string]struct {
		allowed        []string
		net6, loopback bool
	}{
		"none":     {[]string{"none"}, false, false},
		"public":   {[]string{"public"}, true, false},
		"list":     {[]string{"api.example.com:443,*.example.org,10.1.0.0/16:80-90,192.0.2.7,[2001:db8::5]:22"}, true, false},
		"loopback": {[]string{"10.0.2.2:8080,*:53"}, true, true},
	} {
		rules, err := egress.Parse(test.allowed)
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, name+".rules", newRuleset(rules, sidesOf(test.net6, test.loopback)).String())
	}
}

// The legs are neither the container's network nor public.
func TestLegs(t *testing.T) {
	for text, want := range map[string]string{"10.0.2.0/24": "169.254.77.0/24", "169.254.0.0/16": "198.19.254.0/24"} {
		leg := Leg4(netip.MustParsePrefix(text))
		if leg.String() != want || iana.ClassOf(LegAddress(leg)) == iana.Public {
			t.Errorf("%s: %s", text, leg)
		}
	}
	if Leg6.Overlaps(builtin.DefaultNet6) || iana.ClassOf(LegGateway(Leg6)) != iana.Private {
		t.Error(Leg6)
	}
}

func TestIntervals(t *testing.T) {
	prefixes := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("11.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("224.0.0.0/3"),
	}
	got := ""
	for _, e := range intervals(prefixes, true) {
		ip, _ := netip.AddrFromSlice(e.Key)
		got += fmt.Sprint(ip, " ", e.IntervalEnd, ", ")
	}
	if got != "10.0.0.0 false, 12.0.0.0 true, 192.0.2.1 false, 192.0.2.2 true, 224.0.0.0 false, " {
		t.Error(got)
	}
}
