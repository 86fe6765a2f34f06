package hosts

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Engine is what runs containers.
type Engine struct{ Name string }

// The engines of the table.
var (
	Rootlet = Engine{"rootlet"}
	Podman  = Engine{"podman"}
)

// The images that the commands use, and the archives that hold them in imagesDir.
const (
	probeImage = "localhost/probe:latest"
	hostImage  = "localhost/host:latest"
)

// Outcome is what came of an engine's commands under a condition.
type Outcome struct {
	Doctor Said // rootlet's alone
	Load   Said
	Run    Said
}

// limit is how long a command may take: a hang is told from a slow machine.
const limit = 60 * time.Second

// steps are what a user does: is it fit, an image, a container.
func (e Engine) steps(c Condition) []step {
	run := fmt.Sprintf("%s run --rm --pull never %s %s sh -c %s", e.Name, c.Flags, probeImage, quote(facts))
	if c.Run != "" {
		run = strings.NewReplacer("ENGINE", e.Name, "IMAGE", probeImage, "FACTS", quote(facts)).Replace(c.Run)
	}
	steps := []step{
		{e.Name + " load -q -i " + imagesDir + "/probe.tar", limit},
		{run, limit},
	}
	if e == Rootlet {
		steps = append([]step{{"rootlet doctor", limit}}, steps...)
	}
	return steps
}

// Try makes the condition, has the engine's commands run, and takes all away again. The
// directory is for this one attempt; binary is the engine where it is rootlet.
func (e Engine) Try(ctx context.Context, c Condition, dir, binary string) (o Outcome, err error) {
	for name, mode := range map[string]os.FileMode{"home": 0o700, "bin": 0o755, "images": 0o755} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, name), mode), os.Chmod(filepath.Join(dir, name), mode)); err != nil {
			return o, err
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := os.ReadFile(binary)
	if err != nil {
		return o, err
	}
	err = errors.Join(
		os.Chown(filepath.Join(dir, "home"), userID, userID),
		os.WriteFile(filepath.Join(dir, "bin", "rootlet"), program, 0o755),
		writeImage(filepath.Join(dir, "images", "probe.tar"), probeImage, busybox),
		writeImage(filepath.Join(dir, "images", "host.tar"), hostImage, hostsPrograms))
	if err != nil {
		return o, err
	}
	said, err := enter(ctx, order{Condition: c, Store: dir, Steps: e.steps(c)})
	if err != nil {
		return o, fmt.Errorf("%s: %s: %w", c.Name, e.Name, err)
	}
	if e == Rootlet {
		o.Doctor, said = said[0], said[1:]
	}
	o.Load, o.Run = said[0], said[1]
	return o, nil
}

// enter starts the namespaces' first process.
func enter(ctx context.Context, o order) ([]Said, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Env = []string{stageKey + "=first", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	c.Stdin = bytes.NewReader(text)
	var stdout, trouble bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &trouble
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if o.Condition.Offline {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if o.Condition.Knobs {
		every := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1<<32 - 2}}
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings, c.SysProcAttr.GidMappings = every, every
		c.SysProcAttr.GidMappingsEnableSetgroups = true
	}
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(trouble.Bytes()))
	}
	var said []Said
	if err := json.Unmarshal(stdout.Bytes(), &said); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stdout.Bytes())
	}
	return said, nil
}

// writeImage makes an archive as of docker save, with one layer.
func writeImage(name, reference string, fill func(*tar.Writer) error) error {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := errors.Join(fill(w), w.Close()); err != nil {
		return err
	}
	return writeArchive(name, reference, layer.Bytes())
}
