package sandbox

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
	"rootlet/sandbox/identity"
	"rootlet/sandbox/record"
	"rootlet/sandbox/seccomp"
)

func example() first {
	return first{
		root: "/c/rootfs", sync: 7, hostname: "box", groups: [2]int{0, 65536}, nesting: 2,
		null:         17,
		procMasks:    []mask{{path: "proc/acpi", dir: true}, {path: "proc/kcore"}},
		procReadOnly: []mask{{path: "proc/sys", dir: true}},
		sysMasks:     []mask{{path: "sys/firmware", dir: true}},
		program:      exampleProgram(),
	}
}

func exampleProgram() program {
	return program{
		workDir: "/srv/www", who: identity.Identity{UID: 33, GID: 33, Groups: []int{33, 44}},
		setGroups: true, caps: defaultCaps, filter: &seccomp.Filter{Code: make([]unix.SockFilter, 1)},
		argv: []string{"httpd", "-f"}, env: []string{"PATH=/sbin:/bin"},
		paths: []string{"/sbin/httpd", "/bin/httpd"},
	}
}

func TestChecklist(t *testing.T) {
	testenv.Golden(t, "checklist.golden", example().checklist().Plan())
}

func TestChecklistWithEverything(t *testing.T) {
	f := example()
	f.terminal, f.noNewPrivileges, f.ignored, f.reaper = &terminal{number: 3}, true, []int{1}, true
	f.limits = []limit{{unix.RLIMIT_NOFILE, unix.Rlimit{Cur: 5, Max: 5}}}
	testenv.Golden(t, "checklist-everything.golden", f.checklist().Plan())
}

// order fails unless the steps that contain the given words come in this order.
func order(t *testing.T, plan string, words ...string) {
	t.Helper()
	rest := plan
	for _, w := range words {
		i := strings.Index(rest, w)
		if i < 0 {
			t.Fatalf("%q does not come after the steps before it in:\n%s", w, plan)
		}
		rest = rest[i+len(w):]
	}
}

// What an attack on other runtimes hung on is an order; a golden file that is
// written anew must not change it unseen.
func TestTheOrderThatKeepsTheHostOut(t *testing.T) {
	f := example()
	f.noNewPrivileges = true
	plan := f.checklist().Plan()
	order(t, plan, "hide from tracers", "new cgroup namespace", "mount /proc", "set user/max_user_namespaces", "check that it is /dev/null", "mask /proc/kcore", "make /proc/sys read-only", "new user namespace", "wait for the id maps", "pivot_root",
		"let go of the host's root", "wait to be released", "close all descriptors", "enter the working directory",
		"check the working directory", "drop CAP_SYS_ADMIN", "set supplementary groups", "set the group", "set the user",
		"set capabilities", "set no_new_privs", "tie its life", filterStep+"\n"+execStep+"\n")
}

// Without no_new_privs the kernel takes a filter only from who has CAP_SYS_ADMIN,
// which nobody is to have any more once he has changed his ids.
func TestTheFilterComesLast(t *testing.T) {
	for name, plan := range map[string]string{"first": example().checklist().Plan(), "joiner": exampleJoiner().checklist().Plan()} {
		if !strings.HasSuffix(plan, "keep the report open\n"+filterStep+"\n"+execStep+"\n") {
			t.Errorf("%s:\n%s", name, plan)
		}
		order(t, plan, "drop CAP_SYS_ADMIN", "keep capabilities", "set the user", "set capabilities", filterStep)
	}
	f := example()
	f.filter = nil
	if plan := f.checklist().Plan(); strings.Contains(plan, filterStep) || strings.Contains(plan, "keep capabilities") {
		t.Errorf("unconfined:\n%s", plan)
	}
}

func TestHostNetworkKeepsItsHandsOffTheNetwork(t *testing.T) {
	f := example()
	f.foreign = unix.CLONE_NEWNET
	plan := f.checklist().Plan()
	for _, step := range []string{"bring up lo", "ping_group_range", "mount /sys\n", "take mounts from the monitor"} {
		if strings.Contains(plan, step) {
			t.Errorf("step %q with the host's network", step)
		}
	}
	if f.ownFlags()&unix.CLONE_NEWNET != 0 {
		t.Error("a network namespace with the host's network")
	}
}

// U2 has no right over what it shares: what takes one happens in U1.
func TestWhatIsSharedIsEnteredBeforeU2(t *testing.T) {
	f := example()
	f.foreign = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID
	f.others = []namespace{{"net", unix.CLONE_NEWNET, 20}, {"ipc", unix.CLONE_NEWIPC, 21}, {"uts", unix.CLONE_NEWUTS, 22}}
	f.shm = &otherShm{mounts: 23, back: 24, tree: 25}
	plan := f.checklist().Plan()
	order(t, plan, "hide from tracers", "new session", "mount /proc\n", "mask /proc/kcore", joinStep+"net\n", "mount /sys\n",
		joinStep+"ipc\n", "mount /dev/mqueue\n", joinStep+"uts\n", joinStep+"/dev/shm\n", "enter the root again\n",
		"mask /sys/firmware", "new user namespace", "pivot_root")
	for _, step := range []string{"bring up lo", "ping_group_range", "set the hostname"} {
		if strings.Contains(plan, step) {
			t.Errorf("step %q with another container's namespaces", step)
		}
	}
	if n := strings.Count(plan, "mount /dev/mqueue"); n != 1 {
		t.Errorf("%d mounts of the message queues", n)
	}
	if flags := f.ownFlags() | f.cloneFlags(); flags&f.foreign != 0 {
		t.Errorf("flags %#x: a namespace besides another container's", flags)
	}
}

func TestTheHostsPIDsAreBound(t *testing.T) {
	f := example()
	f.foreign, f.hostPIDs = unix.CLONE_NEWPID, true
	plan := f.checklist().Plan()
	order(t, plan, "hide from tracers", "bind /proc\n", "mask /proc/kcore")
	if strings.Contains(plan, "mount /proc\n") {
		t.Error("a fresh /proc of the host's pid namespace, which takes root")
	}
}

// What a container may do without is taken in another way, still in U1 and before the masks.
func TestWhatIsRefusedIsTakenAnotherWay(t *testing.T) {
	f := example()
	f.without = func(string) bool { return true }
	testenv.Golden(t, "checklist-without.golden", f.checklist().Plan())
	order(t, f.checklist().Plan(), "mount /proc\n", "set user/max_user_namespaces\n", "mount /proc, or else\n", "bind /proc\n", "make /proc read-only\n",
		"tell the monitor of /proc\n", "mask /proc/kcore\n", "make /proc/sys read-only\n", "new user namespace\n", "set the hostname\n", "tell the monitor of the hostname\n")
	for word, step := range map[string]string{record.BoundProc: "bind /proc", record.HostUTS: "tell the monitor of the hostname"} {
		f.without = func(asked string) bool { return asked != word }
		if strings.Contains(f.checklist().Plan(), step) {
			t.Errorf("%q though the container insists on more than %s", step, word)
		}
	}
}

func TestAPIDNamespaceForWantOfOneHasAReadOnlyProc(t *testing.T) {
	f := example()
	f.foreign, f.hostPIDs, f.refused = unix.CLONE_NEWPID, true, unix.CLONE_NEWPID
	order(t, f.checklist().Plan(), "bind /proc\n", "make /proc read-only\n", "mask /proc/kcore")
	f.refused = 0
	if strings.Contains(f.checklist().Plan(), "make /proc read-only") {
		t.Error("--pid host")
	}
}
