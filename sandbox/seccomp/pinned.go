package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Pinned is a filter beside a program's own that keeps it on the processors it was put on:
// it lets everything else through.
func Pinned(m Machine) (Filter, error) {
	p := &Profile{
		fallback: unix.SECCOMP_RET_ALLOW, foreign: unix.SECCOMP_RET_ALLOW, x32: unix.SECCOMP_RET_ALLOW,
		rules: []rule{{verdict: notPermitted, names: []string{"sched_setaffinity"}}},
	}
	for _, name := range archNames {
		p.archs = append(p.archs, specs.Arch(name))
	}
	return p.Compile(m)
}
