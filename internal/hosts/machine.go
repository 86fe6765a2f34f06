package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// AsRoot is what the lines of a machine's conditions are run by: a setuid setpriv, which
// who prepares the virtual machine installs.
const AsRoot = "/usr/local/bin/asroot"

// machineLimit is how long a command may take on an emulated processor.
const machineLimit = 3 * time.Minute

// MachineConditions are those of a whole machine: another kernel, its modules and its
// settings, its clock, systemd. They are for a virtual machine, whose user has a session.
// HOME, UID and XDG_RUNTIME_DIR are his.
func MachineConditions() []Condition {
	const noOverlay = `modprobe -r overlay || :; echo "install overlay /bin/false" >/etc/modprobe.d/hosts.conf`
	return []Condition{
		{Name: "a plain host with systemd"},
		{Name: "limits", Flags: "-m 64m --pids-limit 50 --cpus 0.5"},
		{
			Name: "limits, a session bus that is gone", Flags: "-m 64m --pids-limit 50",
			Setup: `mv /run/user/$UID/bus /run/user/$UID/was`, Undo: `mv /run/user/$UID/was /run/user/$UID/bus`,
		},
		{
			Name: "kernel.unprivileged_userns_clone is 0", Want: Want{Refused: true, Need: "user namespaces"},
			Setup: `sysctl -qw kernel.unprivileged_userns_clone=0`, Undo: `sysctl -qw kernel.unprivileged_userns_clone=1`,
		},
		{
			Name: "user.max_user_namespaces is 0, for all", Want: Want{Refused: true, Need: "user namespaces"},
			Setup: `cat /proc/sys/user/max_user_namespaces >/root/was; sysctl -qw user.max_user_namespaces=0`, Undo: `sysctl -qw user.max_user_namespaces=$(cat /root/was)`,
		},
		{Name: "a kernel without overlay", Setup: noOverlay, Undo: `rm /etc/modprobe.d/hosts.conf; modprobe overlay`},
		{
			Name:  "a kernel without overlay, no /dev/fuse",
			Setup: noOverlay + `; mv /dev/fuse /root/fuse`, Undo: `rm /etc/modprobe.d/hosts.conf; modprobe overlay; mv /root/fuse /dev/fuse`,
		},
		{
			Name: "a kernel without tun", Want: Want{Less: []string{"network", "sys"}},
			Setup: `modprobe -r tun || :; echo "install tun /bin/false" >/etc/modprobe.d/hosts.conf`, Undo: `rm /etc/modprobe.d/hosts.conf`,
		},
		{Name: "/proc with hidepid=2, for all", Setup: `mount -o remount,hidepid=2 /proc`, Undo: `mount -o remount,hidepid=0 /proc`},
		{Name: "the clock says 1970", Setup: `date +%s >/root/was; date -qs @100000 >/dev/null || date -s @100000 >/dev/null`, Undo: `date -s @$(cat /root/was) >/dev/null`},
		{
			Name:  "a case-insensitive home",
			Setup: `truncate -s 256m /root/disk; mkfs.ext4 -q -O casefold /root/disk; mount -o loop /root/disk "$HOME"; rmdir "$HOME/lost+found"; chattr +F "$HOME"; chown "$UID:$UID" "$HOME"`, Undo: `umount "$HOME"; rm /root/disk`,
		},
		{
			Name:  "a user who has used up his quota but 3 MB",
			Setup: `truncate -s 64m /root/disk; mkfs.ext4 -q -O quota /root/disk; mount -o loop /root/disk "$HOME"; chown "$UID:$UID" "$HOME"; fallocate -l 48m "$HOME/full"`, Undo: `umount "$HOME"; rm /root/disk`,
			Want: Want{Refused: true, Need: "storage location"},
		},
	}
}

// OnMachine makes the condition of the machine that this process runs on, as its user, has
// the engine's commands run, and takes it back.
func (e Engine) OnMachine(c Condition) (o Outcome, err error) {
	if err := asRoot(c.Setup); err != nil {
		return o, fmt.Errorf("%s: set up: %w", c.Name, err)
	}
	var said []Said
	for _, s := range e.steps(c) {
		s.Limit = machineLimit
		said = append(said, s.execute(s.words(c), os.Environ()))
	}
	// What is left of an engine's is in the home, and stands in the way of an umount.
	_ = exec.Command("podman", "system", "migrate").Run()
	if err := asRoot(`rm -rf "$HOME/.local" "$HOME/.config" "$HOME/.cache"` + "\n" + c.Undo); err != nil {
		return o, fmt.Errorf("%s: undo: %w", c.Name, err)
	}
	return e.outcome(said), nil
}

func asRoot(lines string) error {
	c := exec.Command(AsRoot, "--reuid", "0", "--regid", "0", "--clear-groups", "sh", "-euc", lines)
	c.Env = append(os.Environ(), fmt.Sprintf("UID=%d", os.Getuid()), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if output, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}
