package sandbox

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

func exampleJoiner() joiner {
	return joiner{
		way: way{
			{"outer user", unix.CLONE_NEWUSER, 20},
			{"pid", unix.CLONE_NEWPID, 21},
			{"user", unix.CLONE_NEWUSER, 22},
			{"net", unix.CLONE_NEWNET, 23},
			{"mnt", unix.CLONE_NEWNS, 24},
		},
		child: 25, program: exampleProgram(),
	}
}

func TestJoining(t *testing.T) {
	testenv.Golden(t, "joining.golden", exampleJoiner().checklist().Plan())
}

func TestJoiningWithEverything(t *testing.T) {
	j := exampleJoiner()
	j.cgroups, j.terminal = []int{26}, &newTerminal{socket: 27, size: unix.Winsize{Row: 24, Col: 80}}
	j.noNewPrivileges, j.ignored = true, []int{1}
	j.limits = []limit{{unix.RLIMIT_NOFILE, unix.Rlimit{Cur: 5, Max: 5}}}
	testenv.Golden(t, "joining-everything.golden", j.checklist().Plan())
}

func TestReading(t *testing.T) {
	r := reader{way: exampleJoiner().way, files: []copied{{"/etc/passwd", 30}}}
	testenv.Golden(t, "reading.golden", r.checklist().Plan())
}

// See TestTheOrderThatKeepsTheHostOut. What leads back to the host is closed
// before there is a process that the container can see, and that process cannot
// be looked into before it is the user's program.
func TestTheOrderThatKeepsTheHostOutOfAJoiner(t *testing.T) {
	j := exampleJoiner()
	j.noNewPrivileges, j.terminal = true, &newTerminal{socket: 27}
	plan := j.checklist().Plan()
	order(t, plan, "hide from tracers", "new session\n", "outer user namespace", "container's pid namespace", "container's user namespace",
		"container's mnt namespace", "open a terminal", "check that /dev/pts/ptmx", "open the terminal's other end", "send the terminal",
		"close all other descriptors", "enter the container's pid namespace\nnew session\n", "take the terminal", "new session keyring",
		"close all descriptors", "enter the working directory", "check the working directory", "drop CAP_SYS_ADMIN",
		"set supplementary groups", "set the group", "set the user", "set capabilities", "set no_new_privs", filterStep, execStep)
	if strings.Contains(strings.SplitAfter(plan, "hide from tracers")[0], "namespace") {
		t.Error("a namespace is entered by a process that can be traced")
	}
}
