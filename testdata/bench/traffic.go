package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"time"
)

// A stack is a network of a tool's.
type stack struct{ tool, network string }

// stacks are those that are measured side by side. rootlet's are compared with podman's of
// the same name, or with the first.
func (b *bencher) stacks() []stack {
	all := []stack{{"podman", "slirp4netns"}, {"rootlet", "slirp4netns"}, {"rootlet", "pasta"}, {"rootlet", "builtin"}}
	if _, err := b.output(nil, "podman", "run", "--rm", "--network", "pasta", b.ref("traffic"), "true"); err == nil {
		all = append(all, stack{"podman", "pasta"}) // from 4.4 on
	}
	return all
}

// trafficRounds is how often the stacks take turns.
const trafficRounds = 3

// directions are iperf3's. A test takes two seconds; of TCP one comes before that does
// not count, which iperf3 has wrong for UDP.
var directions = []struct {
	name   string
	flags  []string
	target target // of builtin
}{
	{"TCP, container to host", []string{"-O", "1"}, target{ratioMin: 1, goal: 2}},
	{"TCP, host to container", []string{"-O", "1", "-R"}, target{ratioMin: 1, goal: 2}},
	{"UDP of 1400 bytes, container to host, what arrives", []string{"-u", "-b", "0", "-l", "1400"}, target{}},
	{"UDP of 1400 bytes, host to container, what arrives", []string{"-u", "-b", "0", "-l", "1400", "-R"}, target{}},
}

// traffic is what a container can send to this host and be sent by it.
func (b *bencher) traffic() (rows []row, err error) {
	host, err := outerAddress()
	if err != nil {
		return nil, err
	}
	all := b.stacks()
	for _, d := range directions {
		got, err := b.inTurns(all, func(up container) (float64, error) { return b.iperf(up, host, d.flags) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		rows = append(rows, stackRows(d.name, "Gbit/s", all, got, d.target)...)
	}
	return rows, nil
}

// stackRows are a row for each of rootlet's stacks; only builtin has a target.
func stackRows(name, unit string, all []stack, got []float64, t target) (rows []row) {
	for i, s := range all {
		if s.tool != "rootlet" {
			continue
		}
		theirs := max(slices.Index(all, stack{"podman", s.network}), 0)
		r := row{name: name + ", " + s.network, unit: unit, podman: got[theirs], rootlet: got[i]}
		if s.network != all[theirs].network {
			r.name += " (podman: " + all[theirs].network + ")"
		}
		if s.network == "builtin" {
			r.target = t
		}
		rows = append(rows, r)
	}
	return rows
}

// inTurns has each stack measured in a container of its own, in rounds, and gives the
// medians.
func (b *bencher) inTurns(all []stack, measure func(container) (float64, error)) (medians []float64, err error) {
	defer b.clear()
	var containers []container
	for _, s := range all {
		c, err := b.up(s.tool, "--network "+s.network, "sleep 100000")
		if err != nil {
			return nil, err
		}
		containers = append(containers, c)
	}
	got := make([][]float64, len(containers))
	for range trafficRounds {
		for i, c := range containers {
			v, err := measure(c)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", c.tool, all[i].network, err)
			}
			got[i] = append(got[i], v)
		}
	}
	for _, values := range got {
		medians = append(medians, median(values))
	}
	return medians, nil
}

// A container that runs.
type container struct{ tool, id string }

func (b *bencher) up(tool, flags, program string) (container, error) {
	id, err := b.output(nil, "sh", "-c", fmt.Sprintf("%s run -d %s %s %s", tool, flags, b.ref("traffic"), program))
	return container{tool, id}, err
}

// exec runs a program in the container and returns what it prints.
func (b *bencher) exec(c container, args ...string) (string, error) {
	return b.output(nil, c.tool, append([]string{"exec", c.id}, args...)...)
}

// iperf is one test from within a container, in Gbit/s as the receiver has it.
func (b *bencher) iperf(c container, host string, flags []string) (float64, error) {
	port, stop, err := b.iperfServer(host)
	if err != nil {
		return 0, err
	}
	defer stop()
	text, err := b.exec(c, append([]string{"iperf3", "-J", "-t", "2", "-c", host, "-p", port}, flags...)...)
	if err != nil {
		return 0, err
	}
	return received(text)
}

// iperfServer waits for one test on a port of the host.
func (b *bencher) iperfServer(host string) (port string, stop func(), err error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", nil, err
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	cmd := b.command(nil, "iperf3", "-s", "-1", "-B", host, "-p", port)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	// A connection to see whether it listens would be its one test.
	time.Sleep(200 * time.Millisecond)
	return port, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

// received is the rate at which iperf3's receiver got it.
func received(text string) (float64, error) {
	var report struct {
		Error string
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return 0, fmt.Errorf("iperf3's report: %w", err)
	}
	if report.End.Received.Rate == 0 {
		return 0, fmt.Errorf("iperf3 says %q", report.Error)
	}
	return report.End.Received.Rate / 1e9, nil
}

// outerAddress is one of this host's that a container reaches.
func outerAddress() (string, error) {
	conn, err := net.Dial("udp4", "192.0.2.1:9") // nobody's (RFC 5737); nothing is sent
	if err != nil {
		return "", fmt.Errorf("this host has no address that a container reaches: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}
