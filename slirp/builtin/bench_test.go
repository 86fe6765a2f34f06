package builtin

import (
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Container and host are one process here, so the figures are for comparing one
// state of this package with another.

func BenchmarkUpload(b *testing.B) {
	needHost(b)
	to := listen(b, hostIP, func(conn *net.TCPConn) {
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 1<<17))
	})
	conn := network(b, nil).mustDial("tcp", to)
	_ = conn.SetDeadline(time.Time{})
	block := make([]byte, 1<<17)
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		if _, err := conn.Write(block); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDownload(b *testing.B) {
	needHost(b)
	block := make([]byte, 1<<17)
	to := listen(b, hostIP, func(conn *net.TCPConn) {
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	})
	conn := network(b, nil).mustDial("tcp", to)
	_ = conn.SetDeadline(time.Time{})
	got := make([]byte, len(block))
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		if _, err := io.ReadFull(conn, got); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnect opens, uses and closes connections. With -benchtime=1000000x it
// is a day of them; what is reported shall not grow.
func BenchmarkConnect(b *testing.B) {
	needHost(b)
	to := listen(b, hostIP, func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_, _ = conn.Write([]byte("x"))
	})
	c := network(b, nil)
	goroutines := runtime.NumGoroutine()
	var work sync.WaitGroup
	const workers = 4
	b.ResetTimer()
	for w := range workers {
		work.Go(func() { connectLoop(b, c, to, (b.N+w)/workers) })
	}
	work.Wait()
	b.StopTimer()
	time.Sleep(2 * time.Second) // past the stack's TIME-WAIT
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1024, "heap-KiB")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines-more")
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		b.ReportMetric(float64(len(fds)), "fds")
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rss, _ := strings.Cut(string(status), "VmRSS:")
		rss, _, _ = strings.Cut(rss, "\n")
		b.Logf("%d connections: RSS %s", b.N, strings.TrimSpace(rss))
	}
}

func connectLoop(b *testing.B, c *container, to netip.AddrPort, count int) {
	for range count {
		conn, err := c.connect("tcp", to, 5*time.Second)
		if err != nil {
			b.Error(err)
			return
		}
		_, _ = conn.Write([]byte("x"))
		// The host closes first, or the container's ports would run out.
		if answer, err := io.ReadAll(conn); string(answer) != "x" {
			b.Errorf("%q, %v", answer, err)
		}
		_ = conn.Close()
	}
}
