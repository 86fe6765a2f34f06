package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// throughPorts are what is sent to a published port.
func (b *bencher) throughPorts() []throughPort {
	return []throughPort{
		{"requests to nginx through -p, 50 connections", "per second", "80", "nginx -e /dev/null -c /etc/nginx.conf", b.wrk, target{ratioMin: 1, goal: 2}},
		{"TCP through -p, to the container", "Gbit/s", "5201", "iperf3 -s", b.bulk, target{ratioMin: 1}},
	}
}

type throughPort struct {
	name, unit, port, program string
	measure                   func(port string) (float64, error)
	target                    target
}

// published compares ports that are published under each tool's default driver, and
// under builtin.
func (b *bencher) published() (rows []row, err error) {
	for _, p := range b.throughPorts() {
		got, err := b.through(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		for i, by := range []string{"default drivers", "builtin (podman: its default)"} {
			rows = append(rows, row{name: p.name + ", " + by, unit: p.unit, podman: got[0], rootlet: got[i+1], target: p.target})
		}
	}
	return rows, nil
}

// through measures podman, rootlet, and rootlet with builtin in turns.
func (b *bencher) through(p throughPort) (medians []float64, err error) {
	defer b.clear()
	var ports []string
	for _, run := range []struct{ tool, flags string }{{"podman", ""}, {"rootlet", ""}, {"rootlet", "--network builtin"}} {
		c, err := b.up(run.tool, run.flags+" -p 127.0.0.1::"+p.port, p.program)
		if err != nil {
			return nil, err
		}
		address, err := b.output(nil, run.tool, "port", c.id, p.port)
		if err != nil {
			return nil, err
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	time.Sleep(time.Second) // until the programs listen
	got := make([][]float64, len(ports))
	for range trafficRounds {
		for i, port := range ports {
			v, err := p.measure(port)
			if err != nil {
				return nil, err
			}
			got[i] = append(got[i], v)
		}
	}
	for _, values := range got {
		medians = append(medians, median(values))
	}
	return medians, nil
}

func (b *bencher) wrk(port string) (float64, error) {
	text, err := b.output(nil, "wrk", "-t", "1", "-c", "50", "-d", "4s", "http://127.0.0.1:"+port+"/")
	if err != nil {
		return 0, err
	}
	if strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") {
		return 0, errors.New(text)
	}
	var rate float64
	_, err = fmt.Sscan(field(text, "Requests/sec:"), &rate)
	return rate, err
}

func (b *bencher) bulk(port string) (float64, error) {
	text, err := b.output(nil, "iperf3", "-J", "-O", "1", "-t", "2", "-c", "127.0.0.1", "-p", port)
	if err != nil {
		return 0, err
	}
	return received(text)
}
