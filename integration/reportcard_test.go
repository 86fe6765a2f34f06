package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"rootlet/internal/reportcard"
	"rootlet/internal/testenv"
)

// The programs in a container that print its report card, or part of it.
const (
	stageCard   = "report-card"
	stageGlance = "report-glance"
)

func printCard(take func() (*reportcard.Card, error)) error {
	card, err := take()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(card)
}

// dockerCloses is what Docker's profile of 2026 has closed for its usual capabilities, of
// the calls up to Linux 6.15.
var dockerCloses = strings.Fields(`_sysctl acct add_key afs_syscall bpf clock_settime clone3 create_module delete_module
	fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module
	io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
	lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount mount_setattr move_mount move_pages
	nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root process_madvise putpmsg
	query_module quotactl quotactl_fd reboot request_key security set_mempolicy set_mempolicy_home_node setdomainname
	sethostname setns settimeofday swapoff swapon sysfs syslog tuxcall umount2 unshare uselib userfaultfd ustat vhangup
	vserver`)

// carded is a person whose containers show their cards.
type carded struct {
	*person
	image string
	probe []string // flags of run
}

func newCarded(t *testing.T, stage string) carded {
	t.Helper()
	testenv.NeedUser(t)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, image := someone(t, "busybox")
	return carded{p, image, []string{"--network", "none", "-v", binary + ":/probe:ro", "-e", stageKey + "=" + stage}}
}

// output runs a command with files open and a variable set, as a careless caller has them.
func (c carded) output(name string, args ...string) []byte {
	c.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(slices.Clone(c.env), reportcard.Canary+"=the caller's")
	for range 4 {
		for _, path := range []string{"/etc/passwd", filepath.Dir(rootlet)} {
			f, err := os.Open(path)
			if err != nil {
				c.t.Fatal(err)
			}
			defer f.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
	}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, trouble.String())
	}
	return out
}

// card is that of a command that prints one.
func (c carded) card(name string, args ...string) *reportcard.Card {
	c.t.Helper()
	out := c.output(name, args...)
	card := new(reportcard.Card)
	if err := json.Unmarshal(out, card); err != nil {
		c.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return card
}

func (c carded) run(flags ...string) *reportcard.Card {
	c.t.Helper()
	return c.card(rootlet, slices.Concat([]string{"run", "--rm"}, c.probe, flags, []string{c.image, "/probe"})...)
}

// TestReportCard has a program look around in a container of rootlet's and one of
// podman's: nothing may be weaker.
func TestReportCard(t *testing.T) {
	testenv.NeedSubIDs(t) // as podman does
	testenv.NeedProgram(t, "podman")
	c := newCarded(t, stageCard)
	own, peer := c.run(), c.podmans()
	outside, err := reportcard.Namespaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range reportcard.Rows(outside) {
		if row.Weaker == nil {
			continue
		}
		if weaker := row.Weaker(own, peer); len(weaker) > 0 {
			t.Errorf("%s: weaker than podman: %s", row.Name, strings.Join(weaker, ", "))
		}
	}
	if runtime.GOARCH == "amd64" {
		checkClosed(t, own)
	}
}

// TestReportCardOfASandbox has the same program look around in one: no line is weaker than
// in a container without --sandbox, and at least 110 calls are closed.
func TestReportCardOfASandbox(t *testing.T) {
	c := newCarded(t, stageCard)
	// A process has one listener for its calls, and the probe has one to learn verdicts by.
	plain, strict := c.run("--no-root-emulation"), c.run("--sandbox")
	for _, row := range reportcard.Rows(nil) {
		if row.Weaker == nil {
			continue
		}
		if weaker := row.Weaker(strict, plain); len(weaker) > 0 {
			t.Errorf("%s: weaker than without --sandbox: %s", row.Name, strings.Join(weaker, ", "))
		}
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	checkClosed(t, strict)
	closed := strict.Closed("x86-64")
	if len(closed) < 110 {
		t.Errorf("%d calls are closed: want 110", len(closed))
	}
	for _, name := range []string{"ptrace", "io_uring_setup", "userfaultfd", "keyctl", "process_vm_readv", "add_key"} {
		if !slices.Contains(closed, name) {
			t.Errorf("%s is open", name)
		}
	}
	for _, other := range []string{"i386", "x32"} {
		for name, verdict := range strict.Calls[other] {
			if verdict == reportcard.Allowed {
				t.Errorf("%s of %s is open", name, other)
			}
		}
	}
	for name, outcome := range strict.Attempts {
		if outcome == reportcard.Works {
			t.Errorf("%s works", name)
		}
	}
}

// checkClosed has a list of its own, as the peer's profile is of any age.
func checkClosed(t *testing.T, card *reportcard.Card) {
	t.Helper()
	closed := card.Closed("x86-64")
	for _, name := range dockerCloses {
		if !slices.Contains(closed, name) {
			t.Errorf("%s is open", name)
		}
	}
	for name, verdict := range card.Arguments {
		for _, kind := range []string{"clone", "unshare", "ioctl", "socket AF_ALG", "socket AF_VSOCK", "i386 clone", "i386 socket AF_ALG"} {
			if strings.HasPrefix(name, kind) && verdict == reportcard.Allowed {
				t.Errorf("%s is open", name)
			}
		}
	}
	t.Logf("%d calls are closed", len(closed))
}

// TestNothingIsHandedDown looks at what no program in a container has, however it was
// started: descriptors of the caller's, and capabilities that outlive an exec.
func TestNothingIsHandedDown(t *testing.T) {
	c := newCarded(t, stageGlance)
	c.output(rootlet, slices.Concat([]string{"run", "-d", "--name", "up"}, c.probe, []string{
		"--health-cmd", "/probe > /tmp/health.new && mv /tmp/health.new /tmp/health", "--health-interval", "1s", c.image, "sleep", "1000",
	})...)
	cards := map[string]*reportcard.Card{
		"run":               c.run(),
		"run --init":        c.run("--init"),
		"run --cap-add":     c.run("--cap-add", "SYS_PTRACE"),
		"exec":              c.card(rootlet, "exec", "up", "/probe"),
		"exec --privileged": c.card(rootlet, "exec", "--privileged", "up", "/probe"),
	}
	if testenv.Kind() == testenv.WithSubIDs {
		cards["run -u"] = c.run("-u", "1000")
		cards["exec -u"] = c.card(rootlet, "exec", "-u", "1000", "up", "/probe")
	}
	until(t, "a health check", func() bool {
		_, _, code := c.try("exec", "up", "test", "-e", "/tmp/health")
		return code == 0
	})
	cards["health check"] = c.card(rootlet, "exec", "up", "cat", "/tmp/health")
	for name, card := range cards {
		if len(card.Descriptors) > 0 {
			t.Errorf("%s: descriptors %s", name, card.Descriptors)
		}
		for _, set := range []string{"CapInh", "CapAmb"} {
			if len(card.Capabilities[set]) > 0 {
				t.Errorf("%s: %s %s", name, set, card.Capabilities[set])
			}
		}
		if slices.Contains(card.Environment, reportcard.Canary) {
			t.Errorf("%s: a variable of the caller's", name)
		}
	}
	c.rootlet("rm", "-f", "up")
}

// podmans is the card of a container of podman's. crun refuses hybrid cgroups with a
// controller in the v2 half, so there it is shown that half only.
func (c carded) podmans() *reportcard.Card {
	c.t.Helper()
	home := strings.TrimPrefix(c.env[0], "HOME=")
	root, run := filepath.Join(home, "podman"), filepath.Join(c.runtime(), "podman")
	podman := []string{"podman", "--root", root, "--runroot", run, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--log-level", "error"}
	as := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = c.env
		return cmd
	}
	must := func(args ...string) {
		c.t.Helper()
		if out, err := as(args...).CombinedOutput(); err != nil {
			c.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	c.t.Cleanup(func() {
		must("podman", "unshare", "rm", "-rf", root, run)
		must(append(slices.Clone(podman), "system", "migrate")...) // which ends the process that it leaves behind
	})
	archive := filepath.Join(home, "busybox.tar")
	c.rootlet("save", "-o", archive, c.image)
	must(append(slices.Clone(podman), "load", "-q", "-i", archive)...)
	const unified = "/sys/fs/cgroup/unified"
	command := slices.Concat(podman, []string{"run", "--rm"}, c.probe, []string{c.image, "/probe"})
	if _, err := os.Stat(unified); err == nil {
		script := fmt.Sprintf(`[ ! -d %[1]s ] || mount --bind %[1]s /sys/fs/cgroup; exec "$@"`, unified)
		command = slices.Concat(podman, []string{"unshare", "sh", "-c", script, "sh"}, command)
	}
	return c.card(command[0], command[1:]...)
}
