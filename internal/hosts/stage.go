package hosts

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed prelude.sh
var prelude string

// The account that every condition has, and who is in no table of the machine's: what
// looks at the machine's users does not see what he starts.
const (
	userName  = "dev"
	userID    = 60600
	firstSub  = 1500000000
	countSub  = 65536
	homeDir   = "/home/dev"
	imagesDir = "/srv"
)

var runtimeDir = fmt.Sprintf("/run/user/%d", userID)

// stageKey is the variable that tells a process of this executable which part is its own.
const stageKey = "HOSTS_STAGE"

// Stage does what a process was started for by this package, and does not return then.
func Stage() {
	var err error
	switch os.Getenv(stageKey) {
	case "":
		return
	case "first":
		err = first()
	case "host":
		err = host()
	case "deny":
		err = deny()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hosts:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// order is what the namespaces are asked to do.
type order struct {
	Condition Condition
	Store     string // of the machine's: holds home, bin and images
	Steps     []step
}

// first is process 1: it reaps whoever was left, as a host's does.
func first() error {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), stageKey+"=host")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if pid == c.Process.Pid {
			os.Exit(status.ExitStatus())
		}
	}
}

// host makes the condition and has the user's commands run. What they said is printed.
func host() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	if err := plain(o); err != nil {
		return err
	}
	setup := exec.Command("sh", "-euc", prelude+o.Condition.Setup)
	setup.Env = append(environment(), "SCRATCH="+scratch, "RUNTIME="+runtimeDir, fmt.Sprintf("UID=%d", userID), "NAME="+userName)
	setup.Stderr, setup.Stdout = os.Stderr, os.Stderr
	if err := setup.Run(); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	var said []Said
	for _, s := range o.Steps {
		said = append(said, s.run(o.Condition))
	}
	return json.NewEncoder(os.Stdout).Encode(said)
}

// scratch is where a condition's own files are.
const scratch = "/mnt"

// plain is the host before anything is broken: the account, its home, the programs.
func plain(o order) error {
	// Apart from the machine's mounts, and then shared as systemd has them.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			return fmt.Errorf("propagation of /: %w", err)
		}
	}
	if err := os.Chdir(o.Store); err != nil { // it may be below what is covered next
		return err
	}
	for _, m := range []struct{ source, target, kind, options string }{
		{"proc", "/proc", "proc", ""},
		{"none", scratch, "tmpfs", "mode=755"},
		{"none", "/tmp", "tmpfs", "mode=1777"},
		{"none", "/run/user", "tmpfs", "mode=755"},
		{"none", "/home", "tmpfs", "mode=755"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, unix.MS_NOSUID|unix.MS_NODEV, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	for _, dir := range []string{homeDir, runtimeDir} {
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chown(dir, userID, userID)); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{"home": homeDir, "bin": "/usr/local/bin", "images": imagesDir} {
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s to %s: %w", from, to, err)
		}
	}
	// crun starts nothing where controllers are shared between v1 and v2.
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); err == nil {
		if err := unix.Mount(unified, "/sys/fs/cgroup", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cgroup v2 on /sys/fs/cgroup: %w", err)
		}
	}
	return account()
}

// account adds the user to copies of the tables in /etc.
func account() error {
	if output, err := exec.Command("sh", "-euc", "SCRATCH="+scratch+"\n"+prelude+"writable /etc").CombinedOutput(); err != nil {
		return fmt.Errorf("a copy of /etc: %w: %s", err, output)
	}
	for name, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%[2]d::%s:/bin/sh\n", userName, userID, homeDir),
		"group":  fmt.Sprintf("%s:x:%d:\n", userName, userID),
		"subuid": fmt.Sprintf("%s:%d:%d\n", userName, firstSub, countSub),
		"subgid": fmt.Sprintf("%s:%d:%d\n", userName, firstSub, countSub),
	} {
		f, err := os.OpenFile(filepath.Join("/etc", name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(line)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func environment() []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + homeDir, "USER=" + userName, "LOGNAME=" + userName,
		"XDG_RUNTIME_DIR=" + runtimeDir, "LC_ALL=C.UTF-8",
	}
}

// step is one command of the user's, a line of shell.
type step struct {
	Line  string
	Limit time.Duration
}

// Said is what came of a command.
type Said struct {
	Code           int
	Stdout, Stderr string
	Took           time.Duration
	// Hung: it did not end in time, and was ended.
	Hung bool
}

// run has the user run it: the filter is root's, so that it does not take setuid programs from him.
func (s step) run(c Condition) Said {
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
	defer cancel()
	line := s.Line
	if c.Inside != "" {
		line = fmt.Sprintf("set -- sh -c %s\n%s", quote(line), c.Inside)
	}
	id := fmt.Sprint(userID)
	words := []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--", "sh", "-c", c.Shell + "\n" + line}
	env := environment()
	if len(c.Deny) > 0 {
		rules, err := json.Marshal(c.Deny)
		if err != nil {
			return Said{Code: -1, Stderr: err.Error()}
		}
		words = append([]string{"/proc/self/exe"}, words...)
		env = append(env, stageKey+"=deny", denyKey+"="+string(rules))
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env = "/", env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	said := Said{Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(began), Hung: ctx.Err() != nil}
	switch status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case ok && status.Signaled():
		said.Code = 128 + int(status.Signal())
	case ok:
		said.Code = status.ExitStatus()
	default:
		said.Code, said.Stderr = -1, said.Stderr+err.Error()
	}
	return said
}

// quote makes a word of a shell's.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
