// Command hosts has rootlet, and podman beside it, run a container on hosts that are not
// as they expect (internal/hosts), and writes the table in docs/hosts.md.
//
//	go run ./testdata/hosts -rootlet ./rootlet [-doc docs/hosts.md] [-only TEXT]
//
// Root alone can make them; each is made in namespaces of its own, and nothing of the
// machine changes. VM_RUN names a program that runs a command in a virtual machine, for
// the hosts that take a kernel of their own (vm.go); without it their table stays as it is.
// It exits 1 where rootlet does not do what the condition's row wants of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rootlet/internal/hosts"
	"rootlet/internal/markers"
)

func main() {
	hosts.Stage()
	binary := flag.String("rootlet", "rootlet", "the binary to look at")
	doc := flag.String("doc", "docs/hosts.md", "the page that holds the table")
	only := flag.String("only", "", "the conditions whose name holds this, in full, and leave the page alone")
	flag.Parse()
	problems, err := run(*binary, *doc, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hosts:", err)
		os.Exit(1)
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, "hosts:", p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// row is a condition and what came of it.
type row struct {
	condition       hosts.Condition
	rootlet, podman hosts.Outcome
}

func run(binary, doc, only string) (problems []string, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, program := range []string{"podman", "bwrap", "newuidmap", "busybox", "fuse-overlayfs", "slirp4netns"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w (Debian: apt-get install podman bubblewrap uidmap busybox-static fuse-overlayfs slirp4netns)", err)
		}
	}
	scratch, err := os.MkdirTemp("/var/tmp", "rootlet-hosts-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := os.Chmod(scratch, 0o755); err != nil {
		return nil, err
	}
	var rows []row
	for i, c := range hosts.Conditions() {
		if i > 0 && !strings.Contains(c.Name, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "hosts:", c.Name)
		r := row{condition: c}
		if r.rootlet, err = hosts.Rootlet.Try(ctx, c, filepath.Join(scratch, "rootlet"), binary); err != nil {
			return nil, err
		}
		if r.podman, err = hosts.Podman.Try(ctx, c, filepath.Join(scratch, "podman"), binary); err != nil {
			return nil, err
		}
		rows = append(rows, r)
		for _, p := range c.Problems(r.rootlet, rows[0].rootlet) {
			problems = append(problems, c.Name+": "+p)
		}
	}
	if only != "" {
		for _, r := range rows[min(1, len(rows)-1):] {
			inFull(r)
		}
		return problems, nil
	}
	facts, err := versions()
	if err != nil {
		return nil, err
	}
	text := table(rows, facts)
	fmt.Print(text)
	return problems, markers.Write(doc, "hosts", text)
}

// versions are what a reader must know of the machine and of podman.
func versions() (string, error) {
	var found []string
	for _, command := range [][]string{{"podman", "--version"}, {"crun", "--version"}} {
		out, err := exec.Command(command[0], command[1:]...).Output()
		if err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		found = append(found, first)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; Linux %s; %s.", time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(kernel)), strings.Join(found, ", ")), nil
}
