package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// image is what the probe's is called under the engines that have images.
const image = "localhost/probe:latest"

// reporter is one run of the report.
type reporter struct {
	ctx     context.Context // ends with Ctrl-C; the commands end with it
	user    *user.User
	cred    *syscall.Credential // nil when not root
	scratch string
}

// prepare gets the user, the scratch directory and the images ready.
func prepare(ctx context.Context, binary, probe string) (r *reporter, err error) {
	r = &reporter{ctx: ctx}
	for _, program := range []string{"podman", "bwrap", "newuidmap"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w (Debian: apt-get install podman bubblewrap uidmap)", err)
		}
	}
	if err := r.becomeUser(); err != nil {
		return nil, err
	}
	if r.scratch, err = os.MkdirTemp("/var/tmp", "rootlet-report-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.cleanup()
		}
	}()
	if err := r.fill(binary, probe); err != nil {
		return nil, err
	}
	for _, command := range [][]string{
		{r.path("bin/rootlet"), "import", r.path("probe.tar"), image},
		r.podman("import", "-q", r.path("probe.tar"), image),
	} {
		if _, err := r.output(command[0], command[1:]...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *reporter) path(name string) string { return filepath.Join(r.scratch, name) }

func (r *reporter) becomeUser() (err error) {
	if os.Getuid() != 0 {
		r.user, err = user.Current()
		return err
	}
	name := os.Getenv("ROOTLET_REPORT_USER")
	if name == "" {
		name = "rootlet-sub"
	}
	if r.user, err = user.Lookup(name); err != nil {
		return err
	}
	uid, uidErr := strconv.Atoi(r.user.Uid)
	gid, gidErr := strconv.Atoi(r.user.Gid)
	r.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(uidErr, gidErr)
}

// fill makes the scratch directory's content, and gives it to the user.
func (r *reporter) fill(binary, probe string) error {
	for _, dir := range []string{"bin", "home", "run", "config/containers", "root/dev", "root/etc", "root/proc", "root/sys", "root/tmp"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			return err
		}
	}
	// Native overlay: Debian's podman takes vfs otherwise.
	storage := fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", r.path("podman"), r.path("run/podman"))
	for name, text := range map[string]string{
		"config/containers/storage.conf": storage, "root/etc/passwd": "root:x:0:0:root:/:/\n", "root/etc/group": "root:x:0:\n",
	} {
		if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{binary: "bin/rootlet", probe: "root/probe"} {
		program, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.path(to), program, 0o755); err != nil {
			return err
		}
	}
	if err := archive(r.path("root"), r.path("probe.tar")); err != nil {
		return err
	}
	if err := os.Chmod(r.path("run"), 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(r.scratch, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || r.cred == nil {
			return err
		}
		return os.Lchown(name, int(r.cred.Uid), int(r.cred.Gid))
	})
}

func archive(dir, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	return errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), f.Close())
}

// cleanup ends podman's pause process and removes what belongs to sub-ids, which the user
// alone cannot.
func (r *reporter) cleanup() {
	r.ctx = context.Background() // what tidies up is not interrupted
	_, migrated := r.output("podman", "system", "migrate")
	_, removed := r.output("unshare", "--map-root-user", "--map-auto", "rm", "-rf", r.path("home"), r.path("podman"), r.path("run"))
	if err := errors.Join(migrated, removed, os.RemoveAll(r.scratch)); err != nil {
		fmt.Fprintln(os.Stderr, "report: left behind:", err)
	}
}

// command is a program run as the user, in a clean environment of its own.
func (r *reporter) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(r.ctx, name, args...)
	cmd.Dir = r.path("home")
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + r.path("home"), "USER=" + r.user.Username,
		"XDG_CONFIG_HOME=" + r.path("config"), "XDG_RUNTIME_DIR=" + r.path("run"), "LC_ALL=C.UTF-8",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.cred, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (r *reporter) output(name string, args ...string) (string, error) {
	cmd := r.command(name, args...)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(trouble.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
