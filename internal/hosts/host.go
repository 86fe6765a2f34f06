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
const limit = 30 * time.Second

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

// Place is a directory of the machine's with what every host has: the binary of rootlet
// and the images.
type Place struct{ dir string }

// Prepare fills an empty directory.
func Prepare(dir, binary string) (p Place, err error) {
	for _, name := range []string{"bin", "images"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return p, err
		}
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return p, err
	}
	return Place{dir}, errors.Join(
		os.WriteFile(filepath.Join(dir, "bin", "rootlet"), program, 0o755),
		WriteImages(filepath.Join(dir, "images")),
		exec.Command("chmod", "-R", "a+rX", dir).Run()) // whatever our umask
}

// Try makes the condition, has the engine's commands run, and takes all away again.
func (p Place) Try(ctx context.Context, e Engine, c Condition) (o Outcome, err error) {
	home, err := os.MkdirTemp(p.dir, "home")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	if err := os.Chown(home, userID, userID); err != nil {
		return o, err
	}
	said, err := enter(ctx, order{Condition: c, Place: p.dir, Home: filepath.Base(home), Engine: e.Name, Steps: e.steps(c)})
	if err != nil {
		return o, fmt.Errorf("%s: %s: %w", c.Name, e.Name, err)
	}
	return e.outcome(said), nil
}

// outcome is what came of the steps.
func (e Engine) outcome(said []Said) (o Outcome) {
	if e == Rootlet {
		o.Doctor, said = said[0], said[1:]
	}
	o.Load, o.Run = said[0], said[1]
	return o
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

// WriteImages puts the archives of the images into a directory.
func WriteImages(dir string) error {
	return errors.Join(
		writeImage(filepath.Join(dir, "probe.tar"), probeImage, busybox),
		writeImage(filepath.Join(dir, "host.tar"), hostImage, hostsPrograms))
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
