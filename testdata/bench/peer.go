package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// peerName is what this program is called in the measured containers: the other end of
// serveEcho, which has to be a static binary (CGO_ENABLED=0).
const peerName = "bench-peer"

// peer is: latency, hold or churn, addresses with commas, and a number of connections.
// One number is printed.
func peer(args []string) error {
	if len(args) != 3 {
		return errors.New("three arguments are due")
	}
	addresses := strings.Split(args[1], ",")
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	switch args[0] {
	case "latency":
		return latency(addresses[0], n)
	case "hold":
		return hold(addresses[0], n)
	case "churn":
		return churn(addresses, n)
	}
	return fmt.Errorf("no %q", args[0])
}

// dialWait is more than any of it should take.
const dialWait = 20 * time.Second

// echoed makes a connection on which a byte has come back.
func echoed(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, dialWait)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(dialWait))
	return conn, bounce(conn)
}

func bounce(conn net.Conn) error {
	b := []byte{'?'}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, b)
	return err
}

// latency prints the median of what connecting and one byte there and back take, in
// microseconds.
func latency(address string, n int) error {
	var took []float64
	for range n {
		began := time.Now()
		conn, err := echoed(address)
		if err != nil {
			return err
		}
		took = append(took, float64(time.Since(began))/1e3)
		_ = conn.Close()
	}
	fmt.Printf("%.1f\n", median(took))
	return nil
}

// hold opens connections, and prints on how many of them a byte comes back once all are
// open.
func hold(address string, n int) error {
	conns := make([]net.Conn, n)
	err := each(n, func(i int) (err error) {
		conns[i], err = echoed(address)
		return err
	})
	if err != nil {
		return err
	}
	var good atomic.Int64
	err = each(n, func(i int) error {
		if bounce(conns[i]) == nil {
			good.Add(1)
		}
		return nil
	})
	fmt.Println(good.Load())
	return err
}

// churn makes and ends connections, one after the other for each of its workers, and
// prints how many a second.
func churn(addresses []string, n int) error {
	began := time.Now()
	err := each(n, func(i int) error {
		conn, err := echoed(addresses[i%len(addresses)])
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	fmt.Printf("%.0f\n", float64(n)/time.Since(began).Seconds())
	return err
}

// workers is how many of n things each does at a time.
const workers = 32

func each(n int, do func(int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	failures := make([]error, workers)
	for w := range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failures[w] == nil; i = int(next.Add(1)) - 1 {
				failures[w] = do(i)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// serveEcho answers on so many ports of an address until stop is called.
func serveEcho(address string, ports int) (addresses []string, stop func(), err error) {
	var listeners []net.Listener
	stop = func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	for range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			stop()
			return nil, nil, err
		}
		listeners, addresses = append(listeners, l), append(addresses, l.Addr().String())
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
			}
		}()
	}
	return addresses, stop, nil
}
