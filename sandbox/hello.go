package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// HelloPath is the program of the built-in image. That image holds an empty
// file there; the monitor executes rootlet in its place.
const HelloPath = "/hello"

// helloFacts is where the built-in image's program finds what a container
// cannot see of itself.
const helloFacts = "/hello.json"

// facts are what the hello program tells besides what it sees.
type facts struct {
	Host       Host   `json:"host"`
	RootDriver string `json:"rootDriver"`
	Network    string `json:"network"`
	IDs        string `json:"ids"` // uid_map of the container
}

// addHelloFacts puts the facts into the built-in image's container, and into no
// other.
func (m *monitor) addHelloFacts(generated map[string]string) error {
	if m.HelloID == "" || m.Spec.ImageID != m.HelloID {
		return nil
	}
	text, err := json.Marshal(facts{Host: m.Host, RootDriver: m.root.Driver, Network: m.state.Network, IDs: m.uids.text()})
	if err != nil {
		return err
	}
	path := filepath.Join(m.container.Dir, "hello.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	generated[helloFacts] = path
	return m.giveToRoot(path)
}

// Hello is the stage: the program of the built-in image, inside a container. It
// is the one place below cli that prints, as printing is all it is for.
func Hello() int {
	took := time.Now()
	var f facts
	text, err := os.ReadFile(helloFacts)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "hello: %v\n", err)
		return 1
	}
	fmt.Print(greeting(f, took.Sub(f.Host.Start)))
	return 0
}

// greeting says who it is inside and outside, and what to type next.
func greeting(f facts, took time.Duration) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	hostname, _ := os.Hostname()
	status := procStatus("/proc/self/status")
	fmt.Fprintf(&b, "Hello from a container that rootlet made, without root and without a daemon.\n\n")
	line("inside", "uid %d, gid %d, pid %d, hostname %s", os.Getuid(), os.Getgid(), os.Getpid(), hostname)
	line("outside", "%s", outside(f))
	line("ids", "%s (%s)", countIDs(f.IDs), f.Host.IDMode)
	line("capabilities", "%s", parseCapSet(status["CapBnd"]))
	line("seccomp", "%s", seccompMode(status["Seccomp"]))
	line("root", "%s", f.RootDriver)
	line("network", "%s", f.Network)
	line("start", "%.1f ms from the command to here", float64(took.Microseconds())/1000)
	b.WriteString("\nType next:\n")
	b.WriteString("  rootlet run -it --rm debian            a shell in Debian\n")
	b.WriteString("  rootlet run --rm -v .:/src -w /src debian ls\n")
	b.WriteString("  rootlet ps -a; rootlet doctor          what there is, and what this host lacks\n")
	return b.String()
}

// procStatus reads the fields of a status file of proc(5).
func procStatus(path string) map[string]string {
	fields := map[string]string{}
	text, _ := os.ReadFile(path)
	for l := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(l, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func parseCapSet(hex string) string {
	n, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return "unknown"
	}
	return capSet(n).String()
}

func seccompMode(mode string) string {
	switch mode {
	case "0":
		return "no filter"
	case "2":
		return "filtered"
	}
	return "unknown"
}

// outside says who container root is on the host.
func outside(f facts) string {
	var inside, u1 uint64
	if n, _ := fmt.Sscan(f.IDs, &inside, &u1); n == 2 && inside == 0 && u1 != 0 {
		return fmt.Sprintf("a subordinate id of uid %d", f.Host.UID)
	}
	return fmt.Sprintf("uid %d, gid %d of the host", f.Host.UID, f.Host.GID)
}

// countIDs says how many ids a map has, and which one is the caller's.
func countIDs(text string) string {
	var total uint64
	own := false
	for l := range strings.Lines(text) {
		var inside, outside, size uint64
		if n, _ := fmt.Sscan(l, &inside, &outside, &size); n == 3 {
			total += size
			own = own || outside == 0
		}
	}
	switch {
	case !own:
		return fmt.Sprintf("%d: subordinate ids of yours", total)
	case total == 1:
		return "1: your own"
	}
	return fmt.Sprintf("%d: your own, and your subordinate ids", total)
}
