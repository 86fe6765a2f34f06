package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rootlet/internal/hosts"
)

// VM_RUN is a program that boots a Debian in a virtual machine and is called so:
//
//	VM_RUN -t SECONDS -r SCRIPT DIRECTORY COMMAND...
//
// The directory is /job there, root runs the script first, and then an ordinary user runs
// the command in a login session, whose output is VM_RUN's.

// vmSeconds is how long the machine may take for all of it.
const vmSeconds = "1800"

// prepareVM is the script: rootlet, podman, and a way for the conditions to be root's.
const prepareVM = `
install -m 755 /job/rootlet /usr/local/bin/rootlet
install -m 4755 "$(command -v setpriv)" ` + hosts.AsRoot + `
cp /job/probe.tar /job/host.tar /srv/
tar -C / --skip-old-files -xf /job/podman.tar
`

// The lines that the result stands between, on a console where the machine says more.
const resultBegins, resultEnds = "-----RESULT-----", "-----END-----"

// inVM is what runs in the machine: every condition, one after the other.
func inVM() error {
	var rows []row
	for _, c := range hosts.MachineConditions() {
		r := row{Condition: c}
		var err error
		if r.Rootlet, err = hosts.Rootlet.OnMachine(c); err == nil {
			r.Podman, err = hosts.Podman.OnMachine(c)
		}
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	fmt.Println("\n" + resultBegins)
	encoded := base64.StdEncoding.EncodeToString(text)
	for len(encoded) > 0 {
		n := min(100, len(encoded))
		fmt.Println(encoded[:n])
		encoded = encoded[n:]
	}
	fmt.Println(resultEnds)
	return nil
}

// runVM has the conditions of a whole machine run in one.
func runVM(ctx context.Context, program, binary, scratch string) ([]row, error) {
	dir := filepath.Join(scratch, "vm")
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	script := filepath.Join(scratch, "prepare.sh")
	err = errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(script, []byte(prepareVM), 0o644))
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		copyProgram(binary, filepath.Join(dir, "rootlet")), copyProgram(self, filepath.Join(dir, "hosts")),
		hosts.WriteImages(dir), packPodman(filepath.Join(dir, "podman.tar")))
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, program, "-t", vmSeconds, "-r", script, dir, "./hosts", "-in-vm")
	c.Stderr = os.Stderr
	output, err := c.Output()
	_, rest, began := strings.Cut(string(output), resultBegins)
	encoded, _, ended := strings.Cut(rest, resultEnds)
	if err != nil || !began || !ended {
		return nil, fmt.Errorf("%s: %v: %s", program, err, output)
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
	if err != nil {
		return nil, err
	}
	var rows []row
	return rows, json.NewDecoder(bytes.NewReader(text)).Decode(&rows)
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// packPodman makes an archive of this machine's podman, of what it runs, and of the
// libraries of both.
func packPodman(name string) error {
	const script = `
programs=$(for program in podman crun conmon; do command -v $program; done)
libraries=$(ldd $programs | awk '$2 == "=>" { print $3 }' | sort -u)
exec tar -C / -chf "$1" $(printf '%s\n' $programs $libraries /etc/containers /usr/share/containers | sed 's|^/||')`
	if output, err := exec.Command("sh", "-euc", script, "sh", name).CombinedOutput(); err != nil {
		return fmt.Errorf("pack podman: %w: %s", err, output)
	}
	return nil
}
