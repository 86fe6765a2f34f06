package main

import "fmt"

// isolation is what it costs to confine a program: the time that a run, and an exec, take
// beyond those of a container that is allowed everything (no filter, no masks, every
// capability), and what --sandbox takes beyond that.
func (b *bencher) isolation() ([]row, error) {
	image := b.ref("busybox")
	run := func(flags string) string {
		return fmt.Sprintf("rootlet run --rm --network none %s %s true", flags, image)
	}
	up := func(name, flags string) string {
		return fmt.Sprintf("rootlet run -d --network none --name %s %s %s %s", name, flags, image, patient)
	}
	runs, err := b.medians(benchCase{commands: []string{run("--privileged"), run(""), run("--sandbox")}, share: 1})
	if err != nil {
		return nil, err
	}
	execs, err := b.medians(benchCase{
		before:   []string{up("open", "--privileged"), up("usual", ""), up("sandbox", "--sandbox")},
		commands: []string{"rootlet exec open true", "rootlet exec usual true", "rootlet exec sandbox true"},
		share:    1,
	})
	if err != nil {
		return nil, err
	}
	return []row{
		{name: "isolation: run, beyond run --privileged", unit: "ms", rootlet: runs[1] - runs[0], target: target{absolute: 2}},
		{name: "isolation: exec, beyond one in such a container", unit: "ms", rootlet: execs[1] - execs[0], target: target{absolute: 1}},
		{name: "isolation: run --sandbox, beyond run --privileged", unit: "ms", rootlet: runs[2] - runs[0]},
		{name: "isolation: exec in a sandbox, beyond one in such a container", unit: "ms", rootlet: execs[2] - execs[0]},
	}, nil
}
