package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// F8: what gives a container its network is killed in the middle of a download. The
// download hears of it, the container lives, has a network again within a second, and
// that it was gone is told.
func TestTheNetworkIsKilledInADownload(t *testing.T) {
	p, image := someone(t, "busybox")
	p.rootlet("pull", image)
	source := startEndless(t)
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			p := p.in(t)
			helper := "rootlet-network"
			if driver != "builtin" {
				helper = filepath.Base(testenv.NeedProgram(t, driver))
			}
			fetch := fmt.Sprintf("busybox timeout 60 busybox wget -q -O /dev/null http://%s/endless", source.address)
			p.rootlet("run", "-d", "--name", "it", "--network", driver, image, "sh", "-c", fetch+"; echo ended; exec sleep 1000")
			defer p.rootlet("rm", "-f", "it")
			before := source.sent.Load()
			within(t, soon, "a download", func() bool { return source.sent.Load() > before+10 })

			monitor := p.monitor("it")
			if driver == "builtin" {
				until(t, "to sleep", func() bool { return sleeps(monitor) }) // the download is no event of the monitor's
			}
			kill(t, p.child(monitor, helper))
			again := "the network was started again"
			within(t, time.Second, "inspect tells that "+again, func() bool { return strings.Contains(p.inspect("it", ".State.Error"), again) })
			if got := p.rootlet("exec", "it", "busybox", "timeout", "5", "busybox", "wget", "-q", "-O", "-", "http://"+source.address+"/"); got != "hello\n" {
				t.Errorf("it reaches %q", got)
			}
			within(t, soon, "that the download ends", func() bool { return strings.Contains(p.rootlet("logs", "it"), "ended") })
			if p.state("it") != "running" {
				t.Errorf("the container is %s", p.state("it"))
			}
			if _, log, _ := p.try("logs", "it"); !strings.Contains(log, again) {
				t.Errorf("the log says %q", log)
			}
		})
	}
}

// endless sends for ever at /endless, and says hello elsewhere.
type endless struct {
	address string
	sent    atomic.Int64 // pieces
}

func startEndless(t *testing.T) *endless {
	t.Helper()
	e := &endless{address: net.JoinHostPort(outerAddress(t), "0")}
	l, err := net.Listen("tcp", e.address)
	if err != nil {
		t.Fatal(err)
	}
	e.address = l.Addr().String()
	server := httptest.NewUnstartedServer(e)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return e
}

func (e *endless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/endless" {
		fmt.Fprintln(w, "hello")
		return
	}
	piece := make([]byte, 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(piece); err != nil {
			return
		}
		e.sent.Add(1)
		time.Sleep(time.Millisecond)
	}
}
