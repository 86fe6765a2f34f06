package main

import (
	"fmt"
	"runtime"
	"strings"
)

// patient is a program that ends at once on SIGTERM, which a pid 1 without a
// handler for it would not see (pid_namespaces(7)).
const patient = `sh -c 'trap "exit 0" TERM; sleep 100000 & wait'`

// Of the containers that ps lists, so many run.
const (
	listed  = 50
	running = 10
)

// lifecycleCases are those with containers that stay.
func (b *bencher) lifecycleCases() []benchCase {
	both := func(format string) []string {
		return []string{fmt.Sprintf(format, "podman"), fmt.Sprintf(format, "rootlet")}
	}
	up := fmt.Sprintf("%%s run -d --network none --name up %s %s", b.ref("busybox"), patient)
	another := fmt.Sprintf("%%s run -d --network none %s sleep 100000", b.ref("busybox"))
	// Both tools tidy up behind the answer to a stop or a removal; that is not a
	// start's to pay for.
	all := func(tool string) string { return "sh -c '" + removeAll(tool) + "; sleep 0.3'" }
	return []benchCase{
		{
			name:     "exec",
			before:   both(up),
			commands: both("%s exec up true"),
			share:    1, target: target{ratio: 0.06, goal: 0.04},
		},
		{
			name: fmt.Sprintf("ps -a, %d containers of which %d run", listed, running),
			before: both(fmt.Sprintf("for i in $(seq %d); do %s; done; for i in $(seq %d); do %s; done",
				running, another, listed-running, "%[1]s run --network none "+b.ref("busybox")+" true")),
			commands: both("%s ps -a"),
			share:    1, target: target{ratio: 0.35},
		},
		{
			name:     "start",
			before:   both(up),
			prepare:  both("sh -c '%s stop -t 0 up; sleep 0.3'"),
			commands: both("%s start up"),
			share:    2, target: target{ratio: 0.25},
		},
		{
			name:     "stop",
			before:   both(up),
			prepare:  both("sh -c '%s start up; sleep 0.3'"), // until the trap is set
			commands: both("%s stop up"),
			share:    2, target: target{ratio: 0.25},
		},
		{
			name:     oneDetached,
			prepare:  []string{all("podman"), all("rootlet")},
			commands: both(another),
			share:    2,
		},
		{
			name:     sixteenDetached,
			prepare:  []string{all("podman"), all("rootlet")},
			commands: both("sh -c 'seq 16 | xargs -P 16 -I N " + another + "'"),
			share:    6, target: target{ratio: 0.25},
		},
	}
}

const (
	oneDetached     = "run -d"
	sixteenDetached = "sixteen run -d at once"
)

// flatness compares each of sixteen containers that are started at once with one
// that is started alone and could have spread over all processors.
func flatness(rows []row) (row, bool) {
	var one, sixteen row
	for _, r := range rows {
		switch r.name {
		case oneDetached:
			one = r
		case sixteenDetached:
			sixteen = r
		}
	}
	if one.rootlet == 0 || sixteen.rootlet == 0 {
		return row{}, false
	}
	times := func(sixteen, one float64) float64 { return sixteen / 16 / (one / float64(runtime.NumCPU())) }
	return row{
		name: "each of sixteen run -d, to one alone per processor", unit: "times",
		podman: times(sixteen.podman, one.podman), rootlet: times(sixteen.rootlet, one.rootlet),
		target: target{absolute: 2},
	}, true
}

// removeAll is a shell's line that removes all of a tool's containers.
func removeAll(tool string) string {
	if tool == "podman" {
		return "podman rm -f -t 0 -a"
	}
	return "rootlet ps -aq | xargs -r rootlet rm -f"
}

// clear removes what both tools have.
func (b *bencher) clear() {
	for _, tool := range []string{"podman", "rootlet"} {
		_, _ = b.output(nil, "sh", "-c", removeAll(tool))
	}
}

// shell runs a line for each tool; the line's first word names it.
func (b *bencher) shell(env, lines []string) error {
	for _, line := range lines {
		if _, err := b.output(env, "sh", "-c", strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}
