package slirp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// eachMapping runs a test in U1 with one id and with sub-ids.
func eachMapping(t *testing.T, test func(*testing.T)) {
	for name, withSubIDs := range map[string]bool{"one-id": false, "sub-ids": true} {
		t.Run(name, func(t *testing.T) {
			if inU1(t, withSubIDs) {
				test(t)
			}
		})
	}
}

// start gives a container its network, or ends the test.
func start(t *testing.T, c *container) *Helper {
	t.Helper()
	var log bytes.Buffer
	h, err := Start(t.Context(), Options{PID: c.pid(), Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	if err := h.Ready(); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestStartConfiguresTheNetwork(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		c := newContainer(t)
		began := time.Now()
		h := start(t, c)
		t.Logf("ready after %v", time.Since(began))
		want := fmt.Sprint(MTU, true, " [", ContainerIP, "/24")
		if got := c.ask("interface", Device); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q, want %q", Device, got, want)
		}
		began = time.Now()
		h.Stop()
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("Stop took %v", took)
		}
		if err, unasked := <-h.Done(); unasked {
			t.Errorf("Done says %v after Stop", err)
		}
	})
}

func TestHelperIsConfined(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		h := start(t, newContainer(t))
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.PID()))
		if err != nil {
			t.Fatal(err)
		}
		for field, want := range map[string]string{
			"NoNewPrivs": "1", "Seccomp": "2",
			"CapEff": "0000000000000400", "CapPrm": "0000000000000400", // NET_BIND_SERVICE
			"CapBnd": "0000000000000400", "CapAmb": "0000000000000000",
		} {
			if got := statusField(status, field); got != want {
				t.Errorf("%s is %s, want %s", field, got, want)
			}
		}
		sameNamespace(t, h.PID(), "user", true)
		sameNamespace(t, h.PID(), "net", true)
		sameNamespace(t, h.PID(), "mnt", false)
	})
}

func statusField(status []byte, name string) string {
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "missing"
}

// sameNamespace compares a process's namespace with our own, U1's.
func sameNamespace(t *testing.T, pid int, kind string, want bool) {
	t.Helper()
	ours, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil {
		t.Fatal(err)
	}
	if (ours == its) != want {
		t.Errorf("%s namespace: ours %s, its %s", kind, ours, its)
	}
}

// TestHostLoopbackIsClosed has listeners on the host (U1 shares its network):
// those on loopback must not be reached, one on an outer address must, or the test
// would pass without a network.
func TestHostLoopbackIsClosed(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		loopback, hits := listen(t, "127.0.0.1")
		c := newContainer(t)
		start(t, c)
		for _, network := range []string{"tcp", "udp"} {
			for _, host := range []string{GatewayIP.String(), "127.0.0.1", "[fd00::2]"} {
				if got := c.ask("dial", network, host+":"+loopback); got == "reached" {
					t.Errorf("%s %s reaches the host's loopback", network, host)
				}
			}
		}
		if n := hits(); n != 0 {
			t.Errorf("the loopback listener saw %d callers", n)
		}
		if !HostIP().IsValid() {
			testenv.Skip(t, "an IPv4 route, for an address that is not the loopback's")
		}
		outer := HostIP().String()
		port, _ := listen(t, outer)
		if got := c.ask("dial", "tcp", net.JoinHostPort(outer, port)); got != "reached" {
			t.Errorf("the host's outer address: %s", got)
		}
	})
}

// listen answers every byte on a TCP and a UDP port of one number, and counts.
func listen(t *testing.T, host string) (port string, hits func() int) {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	var mu sync.Mutex
	var n int
	count := func() { mu.Lock(); n++; mu.Unlock() }
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			count()
			_, _ = conn.Write([]byte("!"))
			_ = conn.Close()
		}
	}()
	go func() {
		b := make([]byte, 1)
		for _, from, err := u.ReadFrom(b); err == nil; _, from, err = u.ReadFrom(b) {
			count()
			_, _ = u.WriteTo(b, from)
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestDoneReportsUnaskedDeath(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		h := start(t, newContainer(t))
		if err := unix.Kill(h.PID(), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-h.Done():
			var f *Failure
			if !errors.As(err, &f) || !strings.Contains(err.Error(), "signal: killed") {
				t.Errorf("Done says %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Done is silent")
		}
	})
}

// TestHelperDiesWithUs kills a process like the monitor, which cannot say goodbye.
func TestHelperDiesWithUs(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		if os.Getenv("SLIRP_TEST_MONITOR") != "" {
			h := start(t, newContainer(t))
			fmt.Printf("\nhelper %d\n", h.PID())
			select {}
		}
		pid, monitor := startMonitor(t)
		_ = monitor.Process.Kill()
		_ = monitor.Wait()
		for range 200 {
			if dead(pid) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("helper %d outlives its monitor", pid)
	})
}

func startMonitor(t *testing.T) (helper int, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "SLIRP_TEST_MONITOR=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = strings.NewReader("1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "helper "); ok {
			helper, err = strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			return helper, cmd
		}
	}
	t.Fatal("no helper")
	return 0, nil
}

// dead counts a zombie: its parent is gone and init may take its time.
func dead(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || strings.HasPrefix(statusField(status, "State"), "Z")
}

// TestHelperSurvivesTheStartingThread ends the thread that called Start: were the
// helper tied to it, Pdeathsig would end the container's network.
func TestHelperSurvivesTheStartingThread(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		// The container dies with the thread that made it, which must not be the
		// one that ends below.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c := newContainer(t)
		helpers := make(chan *Helper)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			h, err := Start(t.Context(), Options{PID: c.pid()})
			if err != nil {
				t.Error(err)
			}
			helpers <- h
		}()
		h := <-helpers
		if h == nil {
			return
		}
		t.Cleanup(h.Stop)
		if err := h.Ready(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-h.Done():
			t.Error(err)
		case <-time.After(100 * time.Millisecond):
		}
	})
}

func TestReadyExplainsFailure(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		h, err := Start(t.Context(), Options{PID: os.Getpid(), MTU: 99999})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Ready()
		var f *Failure
		if !errors.As(err, &f) || !strings.Contains(f.Output, "MTU") {
			t.Errorf("Ready says %v", err)
		}
		if again := h.Ready(); again != err {
			t.Errorf("and then %v", again)
		}
	})
}

func TestReadyEndsWithContext(t *testing.T) {
	sleeper := executable(t, "#!/bin/sh\nexec sleep 30\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	h, err := Start(ctx, Options{PID: os.Getpid(), Path: sleeper})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ready(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ready says %v", err)
	}
	<-h.Done() // Ready has stopped it
}

func TestStartNamesTheProgram(t *testing.T) {
	_, err := Start(t.Context(), Options{PID: os.Getpid(), Path: "/nonexistent/slirp4netns"})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nonexistent/slirp4netns") {
		t.Errorf("Start says %v", err)
	}
}

func TestNoTunDevice(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		// U1's own mount namespace: the host keeps its device.
		if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount("/dev/net", unix.MNT_DETACH) }()
		h, err := Start(t.Context(), Options{PID: newContainer(t).pid()})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Ready()
		var tun *TunError
		if !errors.As(err, &tun) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Ready says %v", err)
		}
	})
}

// TestNameserverRelaysDNSOnly gives the host a resolver on its loopback, as
// systemd-resolved and dnsmasq are. The relay's address must not open other ports
// of that loopback.
func TestNameserverRelaysDNSOnly(t *testing.T) {
	eachMapping(t, func(t *testing.T) {
		resolv := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount("/etc/resolv.conf", unix.MNT_DETACH) }()
		port, hits := listen(t, "127.0.0.1")
		c := newContainer(t)
		start(t, c)
		for _, network := range []string{"tcp", "udp"} {
			if got := c.ask("dial", network, NameserverIP.String()+":"+port); got == "reached" {
				t.Errorf("%s port %s of the host's loopback is reached", network, port)
			}
		}
		if n := hits(); n != 0 {
			t.Errorf("the loopback listener saw %d callers", n)
		}
	})
}
