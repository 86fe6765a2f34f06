package slirptest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	"rootlet/slirp"
)

// suite is one driver's run, in U1.
type suite struct{ driver string }

// Run holds one driver against the suite.
func Run(t *testing.T, driver string) {
	s := suite{driver}
	for name, test := range map[string]func(*testing.T){
		"Configures": s.configures, "OtherSettings": s.otherSettings, "Confined": s.confined,
		"HostLoopback": s.hostLoopback, "Death": s.death, "DiesWithUs": s.diesWithUs,
		"StartingThread": s.startingThread, "FailureIsExplained": s.failureIsExplained, "NoTunDevice": s.noTunDevice,
		"Nameserver": s.nameserver, "Resumed": s.resumed, "Egress": s.egress, "EgressNone": s.egressNone, "EgressForged": s.egressForged, "NoGate": s.noGate, "EgressDies": s.egressDies,
	} {
		t.Run(name, func(t *testing.T) {
			for kind, withSubIDs := range map[string]bool{"one-id": false, "sub-ids": true} {
				t.Run(kind, func(t *testing.T) {
					if inU1(t, driver, withSubIDs) {
						test(t)
					}
				})
			}
		})
	}
}

func (s suite) options(t *testing.T, c *container) slirp.Options {
	t.Helper()
	dir := os.Getenv(monitorEnv)
	if dir == "" {
		dir = t.TempDir()
	}
	return slirp.Options{Driver: s.driver, PID: c.pid(), Dir: dir}
}

// start gives a container its network, or ends the test.
func (s suite) start(t *testing.T, c *container, settings slirp.Settings) *slirp.Helper {
	t.Helper()
	o := s.options(t, c)
	o.Settings = settings
	h, err := slirp.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	if err := h.Ready(); err != nil {
		t.Fatal(err)
	}
	if slirp.NeedsNames(s.driver, false) {
		s.startBeside(t, o)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	return h
}

func (s suite) startBeside(t *testing.T, o slirp.Options) {
	t.Helper()
	h, err := slirp.StartBeside(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	if err := h.Ready(); err != nil {
		t.Fatal(err)
	}
}

func (s suite) configures(t *testing.T) {
	c := newContainer(t)
	began := time.Now()
	h := s.start(t, c, slirp.Settings{})
	t.Logf("ready after %v", time.Since(began))
	want := fmt.Sprint(slirp.DefaultMTU, true, " [10.0.2.100/24")
	got := c.ask("interface", slirp.Device)
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s is %q, want %q", slirp.Device, got, want)
	}
	if has, is := strings.Contains(got, "fd00::100/64"), slirp.HostIP6().IsValid(); has != is {
		t.Errorf("%s is %q; IPv6 on the host: %v", slirp.Device, got, is)
	}
	began = time.Now()
	h.Stop()
	if took := time.Since(began); took > 10*time.Millisecond {
		t.Errorf("Stop took %v", took)
	}
	if err, unasked := <-h.Done(); unasked {
		t.Errorf("Done says %v after Stop", err)
	}
}

func (s suite) otherSettings(t *testing.T) {
	c := newContainer(t)
	settings := slirp.Settings{MTU: 1500, Subnet: netip.MustParsePrefix("10.77.4.128/25")}
	s.start(t, c, settings)
	if got := c.ask("interface", slirp.Device); !strings.HasPrefix(got, "1500 true [10.77.4.228/25") {
		t.Errorf("%s is %q", slirp.Device, got)
	}
	outer := outside(t)
	port, _ := listen(t, outer)
	if got := c.ask("dial", "tcp", net.JoinHostPort(outer, port)); got != "reached" {
		t.Errorf("the host's outer address: %s", got)
	}
}

// outside is an address of the host's that is not its loopback's.
func outside(t *testing.T) string {
	t.Helper()
	if !slirp.HostIP().IsValid() {
		testenv.Skip(t, "an IPv4 route, for an address that is not the loopback's")
	}
	return slirp.HostIP().String()
}

// confinement is what a helper has given up, by its /proc/PID/status; pasta says that
// it is ready a moment before.
var confinement = map[string]map[string]string{
	slirp.Builtin: {"NoNewPrivs": "1", "CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapAmb": "0000000000000000"},
	slirp.Slirp4netns: {
		"NoNewPrivs": "1", "Seccomp": "2",
		"CapEff": "0000000000000400", "CapPrm": "0000000000000400", // NET_BIND_SERVICE
		"CapBnd": "0000000000000400", "CapAmb": "0000000000000000",
	},
	slirp.Pasta: {
		"NoNewPrivs": "1", "Seccomp": "2",
		// SYS_ADMIN too, in a user namespace of its own.
		"CapEff": "0000000000200400", "CapPrm": "0000000000200400", "CapAmb": "0000000000000000",
	},
}

func (s suite) confined(t *testing.T) {
	h := s.start(t, newContainer(t), slirp.Settings{})
	for field, want := range confinement[s.driver] {
		got := ""
		for deadline := time.Now().Add(time.Second); got != want && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.PID()))
			if err != nil {
				t.Fatal(err)
			}
			got = statusField(status, field)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	sameNamespace(t, h.PID(), "net", true)
	sameNamespace(t, h.PID(), "mnt", s.driver == slirp.Builtin) // a mount namespace with nothing of the container's
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

// hostLoopback has listeners on the host (U1 shares its network): those on loopback
// must not be reached unless asked for, one on an outer address must, or the test
// would pass without a network.
func (s suite) hostLoopback(t *testing.T) {
	loopback, hits := listen(t, "127.0.0.1")
	loopback6, hits6 := listen(t, "[::1]")
	c := newContainer(t)
	s.start(t, c, slirp.Settings{})
	gateway := slirp.Settings{}.GatewayIP().String()
	for _, network := range []string{"tcp", "udp"} {
		for _, host := range []string{gateway, "127.0.0.1", "[fd00::2]"} {
			if got := c.ask("dial", network, host+":"+loopback); got == "reached" {
				t.Errorf("%s %s reaches the host's loopback", network, host)
			}
		}
		if got := c.ask("dial", network, "[fd00::2]:"+loopback6); got == "reached" {
			t.Errorf("%s reaches the host's loopback by IPv6", network)
		}
	}
	if n := hits() + hits6(); n != 0 {
		t.Errorf("the loopback listeners saw %d callers", n)
	}
	outer := outside(t)
	port, _ := listen(t, outer)
	for _, network := range []string{"tcp", "udp"} {
		if got := c.ask("dial", network, net.JoinHostPort(outer, port)); got != "reached" {
			t.Errorf("the host's outer address, %s: %s", network, got)
		}
	}
	open := newContainer(t)
	s.start(t, open, slirp.Settings{HostLoopback: true})
	for _, network := range []string{"tcp", "udp"} {
		if got := open.ask("dial", network, gateway+":"+loopback); got != "reached" {
			t.Errorf("allow-host-loopback, %s: %s", network, got)
		}
		if s.driver == slirp.Pasta && network == "udp" {
			continue // it answers from its link-local address (udp.c of passt 0.0~git20230309)
		}
		if got := open.ask("dial", network, "[fd00::2]:"+loopback6); got != "reached" && slirp.HostIP6().IsValid() {
			t.Errorf("allow-host-loopback, %s by IPv6: %s", network, got)
		}
	}
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
			_, _ = conn.Read(make([]byte, 1)) // closed with it unread, the answer could get lost
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

// death is told, and why.
func (s suite) death(t *testing.T) {
	h := s.start(t, newContainer(t), slirp.Settings{})
	if err := unix.Kill(h.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.tellsDeath(t, h)
}

func (s suite) tellsDeath(t *testing.T, h *slirp.Helper) {
	t.Helper()
	select {
	case err := <-h.Done():
		var f *slirp.Failure
		if !errors.As(err, &f) || !strings.Contains(err.Error(), s.driver+" ended: signal: killed") {
			t.Errorf("Done says %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Done is silent")
	}
}

// resumed takes a helper over as the monitor does after its sleep.
func (s suite) resumed(t *testing.T) {
	h := s.start(t, newContainer(t), slirp.Settings{})
	kept, err := h.Keep()
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []*int{&kept.Alive, &kept.Output} {
		if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 10); err != nil {
			t.Fatal(err)
		}
	}
	again, err := slirp.Resume(kept)
	if err != nil {
		t.Fatal(err)
	}
	if again.PID() != h.PID() || again.Ready() != nil {
		t.Errorf("pid %d, ready %v", again.PID(), again.Ready())
	}
	again.Stop()
	<-again.Done()
}

// monitorEnv names the process that is to be killed, and holds a directory for it: its
// own would stay.
const monitorEnv = "SLIRP_TEST_MONITOR"

// diesWithUs kills a process like the monitor, pid 1 of its namespace, which cannot
// say goodbye.
func (s suite) diesWithUs(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal(err)
		}
		h := s.start(t, newContainer(t), slirp.Settings{})
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
}

// startMonitor returns the helper's number as we see it.
func startMonitor(t *testing.T) (helper int, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), monitorEnv+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = strings.NewReader("1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if inner, ok := strings.CutPrefix(lines.Text(), "helper "); ok {
			return childByNumber(t, cmd.Process.Pid, inner), cmd
		}
		printed.WriteString(lines.Text() + "\n")
	}
	t.Fatalf("no helper:\n%s", &printed)
	return 0, nil
}

// childByNumber finds the child that has this number in its parent's pid namespace
// (proc_pid_status(5), NSpid).
func childByNumber(t *testing.T, parent int, inner string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		numbers := strings.Fields(statusField(status, "NSpid"))
		if err == nil && len(numbers) > 1 && numbers[1] == inner && statusField(status, "PPid") == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(numbers[0])
			return pid
		}
	}
	t.Fatalf("no child of %d has the number %s", parent, inner)
	return 0
}

// dead counts a zombie: its parent is gone and init may take its time.
func dead(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || strings.HasPrefix(statusField(status, "State"), "Z")
}

// startingThread ends the thread that called Start: were the helper tied to it,
// Pdeathsig would end the container's network.
func (s suite) startingThread(t *testing.T) {
	// The container dies with the thread that made it, which must not be the
	// one that ends below.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o := s.options(t, newContainer(t))
	helpers := make(chan *slirp.Helper)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := slirp.Start(t.Context(), o)
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
}

// failureIsExplained names a process that has ended.
func (s suite) failureIsExplained(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	h, err := slirp.Start(t.Context(), slirp.Options{Driver: s.driver, PID: gone.Process.Pid, Dir: t.TempDir()})
	var f *slirp.Failure
	if s.driver != slirp.Slirp4netns { // they are handed what is opened before they start
		if !errors.As(err, &f) || !strings.Contains(err.Error(), "/ns/net: no such file") {
			t.Errorf("Start says %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	err = h.Ready()
	if !errors.As(err, &f) || f.Output == "" || !strings.Contains(err.Error(), s.driver) {
		t.Errorf("Ready says %v", err)
	}
	if again := h.Ready(); again != err {
		t.Errorf("and then %v", again)
	}
}

func (s suite) noTunDevice(t *testing.T) {
	// U1's own mount namespace: the host keeps its device.
	if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount("/dev/net", unix.MNT_DETACH) }()
	h, err := slirp.Start(t.Context(), s.options(t, newContainer(t)))
	if err == nil {
		err = h.Ready()
	}
	var tun *slirp.TunError
	if !errors.As(err, &tun) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Ready says %v", err)
	}
	if _, err := slirp.Choose(); !errors.As(err, &tun) {
		t.Errorf("auto: %v", err)
	}
}

// nameserver gives the host a resolver on its loopback, as systemd-resolved and
// dnsmasq are. The relay's address must lead to it, and not to other ports of that
// loopback.
func (s suite) nameserver(t *testing.T) {
	resolver := fakeResolver(t, "127.0.0.53:53")
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount("/etc/resolv.conf", unix.MNT_DETACH) }()
	port, hits := listen(t, "127.0.0.1")
	c := newContainer(t)
	s.start(t, c, slirp.Settings{})
	nameserver := slirp.Settings{}.NameserverIP().String()
	for _, network := range []string{"tcp", "udp"} {
		if got := c.ask("dial", network, nameserver+":"+port); got == "reached" {
			t.Errorf("%s port %s of the host's loopback is reached", network, port)
		}
	}
	if n := hits(); n != 0 {
		t.Errorf("the loopback listener saw %d callers", n)
	}
	if !resolver {
		return
	}
	if got := c.ask("dial", "udp", nameserver+":53"); got != "reached" {
		t.Errorf("the host's resolver: %s", got)
	}
}

// fakeResolver answers every datagram; false where this user may not have port 53.
func fakeResolver(t *testing.T, address string) bool {
	t.Helper()
	u, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = u.Close() })
	go func() {
		b := make([]byte, 512)
		for n, from, err := u.ReadFrom(b); err == nil; n, from, err = u.ReadFrom(b) {
			_, _ = u.WriteTo(b[:n], from)
		}
	}()
	return true
}

// EndsWithContext is for a program that never gets ready.
func EndsWithContext(t *testing.T, driver string) {
	sleeper := filepath.Join(t.TempDir(), driver)
	if err := os.WriteFile(sleeper, []byte("#!/bin/sh\nexec sleep 30\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var log bytes.Buffer
	h, err := slirp.Start(ctx, slirp.Options{Driver: driver, PID: os.Getpid(), Path: sleeper, Dir: t.TempDir(), Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ready(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ready says %v", err)
	}
	<-h.Done() // Ready has stopped it
}
