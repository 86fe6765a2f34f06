package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// programs and the Debian packages they come from.
var programs = map[string]string{
	"hyperfine": "hyperfine", "podman": "podman", "crun": "crun", "bwrap": "bubblewrap",
	"skopeo": "skopeo", "docker-registry": "docker-registry", "fuse-overlayfs": "fuse-overlayfs",
	"slirp4netns": "slirp4netns", "newuidmap": "uidmap", "busybox": "busybox-static",
	"curl": "curl", "iperf3": "iperf3", "wrk": "wrk", "nginx": "nginx",
}

// bencher is one run of the benchmark.
type bencher struct {
	ctx     context.Context // ends with Ctrl-C; the commands end with it
	runs    int
	user    *user.User
	cred    *syscall.Credential // nil when not root
	scratch string
	port    int // the registry's, on loopback
	// pushPort is that of the registry that images are pushed to.
	pushPort int
	undo     []func()
	facts    []string // what a reader must know, in the table's foot
}

// prepare gets the machine, the user and the scratch directory ready.
func prepare(ctx context.Context, binary string, runs int) (b *bencher, err error) {
	b = &bencher{ctx: ctx, runs: runs}
	defer func() {
		if err != nil {
			b.cleanup()
		}
	}()
	if err := needPrograms(); err != nil {
		return b, err
	}
	if err := b.becomeUser(); err != nil {
		return b, err
	}
	if err := b.freeControllers(); err != nil {
		return b, err
	}
	if err := b.makeScratch(); err != nil {
		return b, err
	}
	if err := b.serveSettle(); err != nil {
		return b, err
	}
	// The repository may be where the user cannot look.
	return b, copyFile(binary, b.path("bin/rootlet"), 0o755)
}

func (b *bencher) cleanup() {
	b.ctx = context.Background() // what tidies up is not interrupted
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
	b.undo = nil
}

func (b *bencher) path(name string) string { return filepath.Join(b.scratch, name) }

// needPrograms installs what is missing when it may, and else names it.
func needPrograms() error {
	// Where nginx is, and an ordinary user does not look.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin"); err != nil {
		return err
	}
	var missing []string
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("not installed: %s", strings.Join(missing, " "))
	}
	startNothing, err := policy()
	if err != nil {
		return err
	}
	defer startNothing()
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "-y", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}

// policy keeps apt-get from starting what it installs, until its result is called
// (invoke-rc.d(8)).
func policy() (func(), error) {
	const name = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil // somebody else's decision
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	return func() { _ = os.Remove(name) }, errors.Join(err, f.Close())
}

// becomeUser finds the user to measure as; root makes one that is missing, which on
// Debian comes with sub-ids.
func (b *bencher) becomeUser() (err error) {
	if os.Getuid() != 0 {
		b.user, err = user.Current()
		return err
	}
	name := os.Getenv("ROOTLET_BENCH_USER")
	if name == "" {
		name = "rootlet-sub"
	}
	if _, err := user.Lookup(name); err != nil {
		if out, err := exec.Command("useradd", "-m", "-s", "/bin/bash", name).CombinedOutput(); err != nil {
			return fmt.Errorf("useradd %s: %w: %s", name, err, out)
		}
	}
	if b.user, err = user.Lookup(name); err != nil {
		return err
	}
	uid, gid := number(b.user.Uid), number(b.user.Gid)
	b.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, device := range []string{"/dev/fuse", "/dev/net/tun"} {
		if err := os.Chmod(device, 0o666); err != nil {
			return err
		}
	}
	return nil
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err) // os/user gives numbers on Linux
	}
	return n
}

// freeControllers takes the controllers out of the v2 half of a hybrid hierarchy,
// where crun refuses to start while one is left: mounted as v1, they leave it.
func (b *bencher) freeControllers() error {
	const unified = "/sys/fs/cgroup/unified/cgroup.controllers"
	left, err := os.ReadFile(unified)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // not hybrid
		}
		return err
	}
	for controller := range strings.FieldsSeq(string(left)) {
		if os.Getuid() != 0 {
			return fmt.Errorf("%s holds %q: crun does not start; as root: mount -t cgroup -o %[2]s", unified, controller)
		}
		dir := filepath.Join("/sys/fs/cgroup", controller)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(controller, dir, "cgroup", 0, controller); err != nil {
			return fmt.Errorf("mount controller %s as v1: %w", controller, err)
		}
		b.undo = append(b.undo, func() { _ = syscall.Unmount(dir, 0); _ = os.Remove(dir) })
	}
	b.facts = append(b.facts, "Hybrid cgroups with no controller left in the v2 hierarchy (crun refuses to start otherwise), so podman sets no limits.")
	return nil
}

// makeScratch makes the directories and podman's configuration: native overlay in
// one storage, fuse-overlayfs in another. Without it, Debian's podman takes vfs.
func (b *bencher) makeScratch() (err error) {
	if b.scratch, err = os.MkdirTemp("/var/tmp", "rootlet-bench-"); err != nil {
		return err
	}
	b.undo = append(b.undo, b.removeScratch)
	for _, dir := range []string{"bin", "home", "config-native/containers", "config-fuse/containers", "data", "pull", "many", "pushed", "registry", "rootfs"} {
		if err := os.MkdirAll(b.path(dir), 0o755); err != nil {
			return err
		}
	}
	for name, extra := range map[string]string{
		"native": "", "fuse": "[storage.options.overlay]\nmount_program = \"/usr/bin/fuse-overlayfs\"\n",
	} {
		conf := fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n%s",
			b.path("podman-"+name), b.path("run/"+name), extra)
		if err := os.WriteFile(b.path("config-"+name+"/containers/storage.conf"), []byte(conf), 0o644); err != nil {
			return err
		}
	}
	if err := os.Mkdir(b.path("run"), 0o700); err != nil {
		return err
	}
	return b.giveAway()
}

// giveAway makes the user the owner of the scratch directory.
func (b *bencher) giveAway() error {
	if b.cred == nil {
		return nil
	}
	return filepath.WalkDir(b.scratch, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(b.cred.Uid), int(b.cred.Gid))
	})
}

// removeScratch removes the containers, ends podman's pause process and removes what belongs to sub-ids,
// which the user alone cannot.
func (b *bencher) removeScratch() {
	b.clear()
	_ = b.command(nil, "podman", "system", "migrate").Run()
	_ = b.command(nil, "unshare", b.removeTree(b.scratch)...).Run()
	if err := os.RemoveAll(b.scratch); err != nil {
		fmt.Fprintln(os.Stderr, "bench: left behind:", err)
	}
}

// removeTree is unshare's command line that removes what belongs to sub-ids.
func (b *bencher) removeTree(dir string) []string {
	return []string{"--map-root-user", "--map-auto", "rm", "-rf", dir}
}

// fuseEnv makes both tools take fuse-overlayfs.
func (b *bencher) fuseEnv() []string {
	return []string{"XDG_CONFIG_HOME=" + b.path("config-fuse"), "ROOTLET_STORAGE_DRIVER=fuse-overlayfs"}
}

// command is a program run as the user, in a clean environment of its own.
func (b *bencher) command(env []string, name string, args ...string) *exec.Cmd {
	if name == "rootlet" {
		name = b.path("bin/rootlet")
	}
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Dir = b.path("home")
	cmd.Env = append([]string{
		"PATH=" + b.path("bin") + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"HOME=" + b.path("home"), "USER=" + b.user.Username, "LOGNAME=" + b.user.Username,
		"XDG_CONFIG_HOME=" + b.path("config-native"), "XDG_DATA_HOME=" + b.path("data"),
		"XDG_RUNTIME_DIR=" + b.path("run"), "LC_ALL=C.UTF-8",
	}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.cred, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// output runs a command as the user and returns what it prints.
func (b *bencher) output(env []string, name string, args ...string) (string, error) {
	cmd := b.command(env, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
