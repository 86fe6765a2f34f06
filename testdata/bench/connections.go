package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// openAtOnce is how many connections a container is to hold.
const openAtOnce = 1000

// echoPorts spreads the connections of a churn, or the ports of one address that have
// just been used (TIME-WAIT) would be the limit.
const echoPorts = 64

// connections are what a connection costs, a thousand at once, and very many in turn.
func (b *bencher) connections() (rows []row, err error) {
	host, err := outerAddress()
	if err != nil {
		return nil, err
	}
	addresses, stop, err := serveEcho(host, echoPorts)
	if err != nil {
		return nil, err
	}
	defer stop()
	all := b.stacks()
	got, err := b.inTurns(all, func(c container) (float64, error) { return b.peer(c, "latency", addresses[0], 500) })
	if err != nil {
		return nil, err
	}
	rows = stackRows("connect, and one byte there and back", "µs", all, got, target{})
	for _, step := range []func([]string) ([]row, error){b.atOnce, b.churn} {
		got, err := step(addresses)
		b.clear()
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// peer has the peer in a container do something and returns the number that it prints.
func (b *bencher) peer(c container, what, addresses string, n int) (float64, error) {
	text, err := b.exec(c, peerName, what, addresses, strconv.Itoa(n))
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// atOnce holds connections open, and counts those that work.
func (b *bencher) atOnce(addresses []string) ([]row, error) {
	r := row{name: fmt.Sprintf("%d connections open at once, builtin (podman: slirp4netns)", openAtOnce), unit: "work", target: target{least: openAtOnce}}
	for _, s := range []stack{{"podman", "slirp4netns"}, {"rootlet", "builtin"}} {
		c, err := b.up(s.tool, "--network "+s.network, "sleep 100000")
		if err != nil {
			return nil, err
		}
		n, err := b.peer(c, "hold", addresses[0], openAtOnce)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.tool, err)
		}
		if s.tool == "podman" {
			r.podman = n
		} else {
			r.rootlet = n
		}
	}
	return []row{r}, nil
}

// churn makes and ends connections, and looks what builtin's process keeps of them.
func (b *bencher) churn(addresses []string) ([]row, error) {
	n, err := churnCount()
	if err != nil {
		return nil, fmt.Errorf("BENCH_CHURN: %w", err)
	}
	f, err := startFamily()
	if err != nil {
		return nil, err
	}
	defer f.close()
	defer b.clear()
	c, err := b.up("rootlet", "--network builtin", "sleep 100000")
	if err != nil {
		return nil, err
	}
	all := strings.Join(addresses, ",")
	stack := 0
	for _, pid := range f.members() {
		if processName(pid) == "rootlet-network" {
			stack = pid
		}
	}
	if stack == 0 {
		return nil, fmt.Errorf("no network process is seen")
	}
	// What a stack that was in use keeps is not what grows.
	if _, err := b.peer(c, "churn", all, 5000); err != nil {
		return nil, err
	}
	beforeMiB, beforeFDs, err := rested(stack)
	if err != nil {
		return nil, err
	}
	rate, err := b.peer(c, "churn", all, n)
	if err != nil {
		return nil, err
	}
	afterMiB, afterFDs, err := rested(stack)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%d connections, %d at a time, builtin", n, workers)
	return []row{
		{name: name, unit: "per second", rootlet: rate},
		{
			name: name + ": growth of its process", unit: "MiB", rootlet: max(afterMiB-beforeMiB, 0), target: target{absolute: 1},
			note: fmt.Sprintf("%.1f MiB before, %.1f after", beforeMiB, afterMiB),
		},
		{
			name: name + ": descriptors that are left open", unit: "more", rootlet: float64(max(afterFDs-beforeFDs, 0)), target: target{nothing: true},
			note: fmt.Sprintf("%d before, %d after", beforeFDs, afterFDs),
		},
	}, nil
}

// rest is more than it takes the stack to see that nothing happens, and give memory back.
const rest = 25 * time.Second

// rested waits, and counts a process's memory and descriptors.
func rested(pid int) (mib float64, fds int, err error) {
	time.Sleep(rest)
	s, err := sizeOfProcess(pid)
	if err != nil {
		return 0, 0, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return s.total(), len(open), err
}

// churnCount is how many connections churn makes: a day's worth, a million, takes some
// minutes.
func churnCount() (int, error) {
	text := os.Getenv("BENCH_CHURN")
	if text == "" {
		return 100000, nil
	}
	var n int
	_, err := fmt.Sscan(text, &n)
	return n, err
}
