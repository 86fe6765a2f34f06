package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// inPodman runs its arguments in a container of Podman's with the profile that Podman has
// by default, on an empty root. Podman is root of a user namespace, and what it keeps is in
// a tmpfs of that. Its cgroups are nobody's business here, and not every host gives it any.
const inPodman = `
mount -t tmpfs none /run && mkdir -p /run/rootfs/root || exit 1
mount -t tmpfs none /dev/shm || exit 1 # its locks are there
mount -t cgroup2 none /sys/fs/cgroup
bin=$1; shift
exec podman --root /run/images --runroot /run/state --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --log-level error \
	run --rm --cgroups=disabled --network none -v "$bin":/bin:ro -e HOME=/root $MORE --rootfs /run/rootfs "$@"`

// In Podman's default container /proc and /sys are masked, /proc/sys is read-only, and
// sethostname(2) is filtered: a container of ours does with what is outside, and says so.
func TestInsidePodman(t *testing.T) {
	testenv.NeedSubIDs(t)
	testenv.NeedProgram(t, "podman")
	for _, c := range []struct {
		name, more string
		args       string
		want       []string
		lacks      string // words that are not said
	}{
		{"default profile", "", "run --rm --network none hello", []string{"uid 0", "notice: bound-proc: ", "notice: bound-sys: ", "notice: host-uts: "}, ""},
		{"default profile, insisting", "", "run --rm --network none --require full hello", []string{"error: --require full: the host gives a container no /proc of its own (mount /proc: operation not permitted)"}, "uid 0"},
		{"nothing masked, no filter", "--security-opt unmask=ALL --security-opt seccomp=unconfined", "run --rm --network none --require full hello", []string{"uid 0"}, "bound-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("unshare", append([]string{
				"--map-root-user", "--map-auto", "--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inPodman, "sh", filepath.Dir(rootlet), "/bin/rootlet",
			}, strings.Fields(c.args)...)...)
			cmd.Env = append(cmd.Environ(), "MORE="+c.more)
			output, err := cmd.CombinedOutput()
			for _, want := range c.want {
				if !strings.Contains(string(output), want) {
					t.Errorf("%v: it does not say %q:\n%s", err, want, output)
				}
			}
			if c.lacks != "" && strings.Contains(string(output), c.lacks) {
				t.Errorf("it says %q:\n%s", c.lacks, output)
			}
		})
	}
}
