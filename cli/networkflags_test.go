package cli

import (
	"reflect"
	"strings"
	"testing"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// TestNetworkFlags reads --network and what belongs to it, as far as no record is asked.
func TestNetworkFlags(t *testing.T) {
	for name, test := range map[string]struct {
		flags   networkFlags
		mode    string
		want    []record.Attachment
		problem string
	}{
		"nothing":      {mode: "auto"},
		"a driver":     {flags: networkFlags{Network: []string{"pasta:mtu=1500"}}, mode: "pasta"},
		"one":          {flags: networkFlags{Network: []string{"one"}}, mode: "bridge", want: []record.Attachment{{Network: "one"}}},
		"two":          {flags: networkFlags{Network: []string{"one", "two:alias=x,alias=y"}}, mode: "bridge", want: []record.Attachment{{Network: "one"}, {Network: "two", Aliases: []string{"x", "y"}}}},
		"Docker's":     {flags: networkFlags{Network: []string{"name=one,alias=x"}}, mode: "bridge", want: []record.Attachment{{Network: "one", Aliases: []string{"x"}}}},
		"an alias":     {flags: networkFlags{Network: []string{"one:alias=x"}, NetAlias: []string{"y"}}, mode: "bridge", want: []record.Attachment{{Network: "one", Aliases: []string{"x", "y"}}}},
		"a card":       {flags: networkFlags{Network: []string{"one"}, MacAddress: "02-42-0A-59-00-02"}, mode: "bridge", want: []record.Attachment{{Network: "one", Hardware: "02:42:0a:59:00:02"}}},
		"mixed":        {flags: networkFlags{Network: []string{"one", "host"}}, problem: "only networks with a name"},
		"mixed, first": {flags: networkFlags{Network: []string{"host", "one"}}, problem: "only networks with a name"},
		"twice":        {flags: networkFlags{Network: []string{"one", "one"}}, problem: "one is given twice"},
		"no name":      {flags: networkFlags{Network: []string{"name=,alias=x"}}, problem: "invalid network name"},
		"no option":    {flags: networkFlags{Network: []string{"one:gw=1"}}, problem: `unknown option "gw"`},
		"IPv6 as IPv4": {flags: networkFlags{Network: []string{"one:ip=fd00::1"}}, problem: "invalid IPv4 address"},
		"IPv4 as IPv6": {flags: networkFlags{Network: []string{"one"}, IP6: "10.0.0.1"}, problem: "invalid IPv6 address"},
		"multicast":    {flags: networkFlags{Network: []string{"one"}, MacAddress: "03:00:00:00:00:01"}, problem: "invalid hardware address"},
		"bad alias":    {flags: networkFlags{Network: []string{"one"}, NetAlias: []string{"a b"}}, problem: `network alias "a b"`},
		"auto, alias":  {flags: networkFlags{NetAlias: []string{"x"}}, problem: "for networks with a name"},
	} {
		c := newContainer{runFlags: runFlags{networkFlags: test.flags}}
		var r sandbox.Request
		err := c.fillNetwork(&r)
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: %v, want %q", name, err, test.problem)
			}
			continue
		}
		if err != nil || r.Spec.Network != test.mode || !reflect.DeepEqual(r.Spec.Networks, test.want) {
			t.Errorf("%s: %q, %+v, %v", name, r.Spec.Network, r.Spec.Networks, err)
		}
	}
}
