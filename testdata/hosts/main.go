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
	vm := flag.Bool("in-vm", false, "run in a virtual machine, and print the outcomes")
	flag.Parse()
	if *vm {
		if err := inVM(); err != nil {
			fmt.Println("hosts:", err)
			os.Exit(1)
		}
		return
	}
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
	Condition       hosts.Condition
	Rootlet, Podman hosts.Outcome
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
	rows, problems, err := onThisKernel(ctx, binary, scratch, only)
	if err != nil {
		return nil, err
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
	if err := markers.Write(doc, "hosts", text); err != nil {
		return problems, err
	}
	program := os.Getenv("VM_RUN")
	if program == "" {
		return problems, nil
	}
	if rows, err = runVM(ctx, program, binary, scratch); err != nil {
		return problems, err
	}
	for _, r := range rows {
		problems = append(problems, r.problems(rows[0])...)
	}
	text = table(rows, "In a virtual machine, "+time.Now().UTC().Format(time.DateOnly)+".")
	fmt.Print(text)
	return problems, markers.Write(doc, "hosts in a machine", text)
}

// problems are what is wrong with what rootlet did.
func (r row) problems(plain row) (found []string) {
	for _, p := range r.Condition.Problems(r.Rootlet, plain.Rootlet) {
		found = append(found, r.Condition.Name+": "+p)
	}
	return found
}

// onThisKernel runs the conditions that namespaces can make.
func onThisKernel(ctx context.Context, binary, scratch, only string) (rows []row, problems []string, err error) {
	place, err := hosts.Prepare(scratch, binary)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range hosts.Conditions() {
		if i > 0 && !strings.Contains(c.Name, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "hosts:", c.Name)
		r := row{Condition: c}
		if r.Rootlet, err = place.Try(ctx, hosts.Rootlet, c); err != nil {
			return nil, nil, err
		}
		if r.Podman, err = place.Try(ctx, hosts.Podman, c); err != nil {
			return nil, nil, err
		}
		rows = append(rows, r)
		problems = append(problems, r.problems(rows[0])...)
	}
	return rows, problems, nil
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
