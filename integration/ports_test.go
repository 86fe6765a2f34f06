package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rootlet/internal/testenv"
)

// drivers are those that publish ports; each has to be here.
var drivers = []string{"slirp4netns", "pasta", "builtin"}

// TestPublishedPorts: under each driver the program sees who calls, whoever forwards
// the port is started again when it dies, asleep or not, and a restart of the program
// brings the ports back.
func TestPublishedPorts(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	outer := outerAddress(t)
	for _, network := range append(drivers, "slirp4netns --egress none", "pasta --egress none") {
		driver, egress, _ := strings.Cut(network, " ")
		name := strings.NewReplacer(" --", "-", " ", "-").Replace(network)
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for sleep, most of all
			p := p.in(t)
			if driver != "builtin" {
				testenv.NeedProgram(t, driver)
			}
			p.rootlet(slices.Concat([]string{"run", "-d", "--name", name, "--network", driver}, strings.Fields(egress), []string{
				"--restart", "always", "-p", "80", image,
				"sh", "-c", "echo hello >/tmp/index.html; exec busybox httpd -f -v -p 80 -h /tmp",
			})...)
			port := func() string {
				first, _, _ := strings.Cut(p.rootlet("port", name, "80"), "\n")
				return strings.TrimPrefix(first, "0.0.0.0:")
			}
			answers := func() {
				t.Helper()
				within(t, soon, "an answer", func() bool { return get(net.JoinHostPort(outer, port())) == "hello\n" })
			}
			answers()
			within(t, soon, "that it sees the caller's address, "+outer, func() bool {
				logs, err := p.command("logs", name).CombinedOutput()
				return err == nil && (strings.Contains(string(logs), outer+"]:") || strings.Contains(string(logs), outer+":"))
			})

			monitor := p.monitor(name)
			until(t, "to sleep", func() bool { return sleeps(monitor) })
			before := port()
			kill(t, p.child(monitor, "rootlet-network"))
			within(t, soon, "it is started again", func() bool { return strings.Contains(p.inspect(name, ".State.Error"), "started again") })
			answers()
			if now := port(); now != before {
				t.Errorf("port %s has become %s", before, now)
			}

			kill(t, p.pid(name))
			within(t, 5*time.Second, "the program is started again", func() bool { return p.inspect(name, ".RestartCount") == "1" && p.state(name) == "running" })
			answers()
			p.rootlet("rm", "-f", name)
		})
	}
}

// outerAddress is one that this host has and that is no loopback's.
func outerAddress(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("udp4", "192.0.2.1:9") // nobody (RFC 5737); no packet is sent
	if err != nil {
		testenv.Skip(t, "an IPv4 route")
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

// startOuter is `outer`: something that says hello outside of the loopback; $OUTER is
// its address, $OUTERIP that without the port.
func startOuter(ts *testscript.TestScript, neg bool, args []string) {
	t := of(ts).t
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	l, err := net.Listen("tcp", net.JoinHostPort(outerAddress(t), "0"))
	if err != nil {
		ts.Fatalf("%v", err)
	}
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	ts.Setenv("OUTER", l.Addr().String())
	ts.Setenv("OUTERIP", outerAddress(t))
}

// get is the body of an answer, or what went wrong.
func get(address string) string {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://%s/", address))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
