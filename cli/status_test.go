package cli

import (
	"strings"
	"testing"
	"time"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

func TestStatus(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	up := now.Add(-3 * time.Minute)
	for _, test := range []struct {
		state record.State
		want  string
	}{
		{record.State{Status: record.Created}, "Created"},
		{record.State{Status: record.Running, Started: now.Add(-70 * time.Second)}, "Up About a minute"},
		{record.State{Status: record.Running, Started: up, Health: &record.Health{Status: record.Healthy}}, "Up 3 minutes (healthy)"},
		{record.State{Status: record.Running, Started: up, Health: &record.Health{Status: record.Unhealthy}}, "Up 3 minutes (unhealthy)"},
		{record.State{Status: record.Running, Started: up, Health: &record.Health{Status: record.HealthStarting}}, "Up 3 minutes (health: starting)"},
		{record.State{Status: record.Running, Started: up, Health: &record.Health{}}, "Up 3 minutes"},
		{record.State{Status: record.Paused, Started: up, Health: &record.Health{Status: record.Healthy}}, "Up 3 minutes (Paused)"},
		{record.State{Status: record.Restarting, Started: up, ExitCode: 1, Finished: now.Add(-5 * time.Second)}, "Restarting (1) 5 seconds ago"},
		{record.State{Status: record.Exited, ExitCode: 1, Finished: now.Add(-5 * time.Second)}, "Exited (1) 5 seconds ago"},
		{record.State{Status: record.Exited, ExitCode: 137}, "Exited (137) some time ago"},
		{record.State{Status: record.Dead}, "Dead"},
	} {
		if got := status(test.state, now); got != test.want {
			t.Errorf("%+v: %s, want %s", test.state, got, test.want)
		}
	}
}

func TestPorts(t *testing.T) {
	for _, test := range []struct {
		exposed []string
		status  record.Status
		network string
		want    string
	}{
		{[]string{"80/tcp"}, record.Running, "slirp4netns", "80/tcp"},
		{[]string{"443", "80/tcp", "80"}, record.Paused, "slirp4netns", "80/tcp, 443/tcp"},
		{[]string{"2001/tcp", "2000/tcp", "2002/tcp", "53/udp", "53/tcp"}, record.Running, "slirp4netns", "53/tcp, 2000-2002/tcp, 53/udp"},
		{[]string{"not a port", "70000", "1/x"}, record.Running, "slirp4netns", ""},
		{[]string{"80/tcp"}, record.Exited, "slirp4netns", ""},
		{[]string{"80/tcp"}, record.Running, "host", ""},
		{[]string{"80/tcp"}, record.Running, "none", ""},
	} {
		e := record.Entry{Spec: record.Spec{ExposedPorts: test.exposed, Network: test.network}, State: record.State{Status: test.status}}
		if got := ports(e); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestExpose(t *testing.T) {
	for given, want := range map[string]string{
		"80":                   "80/tcp",
		"53/udp 80-82 443/TCP": "53/udp 80/tcp 81/tcp 82/tcp 443/tcp",
		"65535":                "65535/tcp",
	} {
		var r sandbox.Request
		c := newContainer{}
		c.Expose = strings.Fields(given)
		if err := c.fillPorts(&r); err != nil || strings.Join(r.Spec.ExposedPorts, " ") != want {
			t.Errorf("%s: %v, %v", given, r.Spec.ExposedPorts, err)
		}
	}
	for _, given := range []string{"", "http", "80/icmp", "82-80", "65536", "-1", "1-2000", "80/tcp/udp"} {
		c := newContainer{}
		c.Expose = []string{given}
		if err := c.fillPorts(new(sandbox.Request)); err == nil {
			t.Errorf("%q: no error", given)
		}
	}
}
