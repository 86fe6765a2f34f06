package integration

import (
	"testing"

	"rootlet/internal/hosts"
	"rootlet/internal/testenv"
)

// TestHosts has a user run a container on each of the hosts of docs/hosts.md. Only root
// can make them. The short form leaves out those on which nothing is to be noticed.
func TestHosts(t *testing.T) {
	testenv.NeedRoot(t)
	for _, program := range []string{"bwrap", "newuidmap", "podman", "fuse-overlayfs"} {
		testenv.NeedProgram(t, program)
	}
	place, err := hosts.Prepare(t.TempDir(), rootlet)
	if err != nil {
		t.Fatal(err)
	}
	all := hosts.Conditions()
	plain, err := place.Try(t.Context(), hosts.Rootlet, all[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if testing.Short() && !c.Want.Noticed() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			o, err := place.Try(t.Context(), hosts.Rootlet, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range c.Problems(o, plain) {
				t.Error(problem)
			}
			if t.Failed() {
				t.Logf("doctor: %d\n%s%s", o.Doctor.Code, o.Doctor.Stdout, o.Doctor.Stderr)
				t.Logf("load: %d\n%s%s", o.Load.Code, o.Load.Stdout, o.Load.Stderr)
				t.Logf("run: %d\n%s%s", o.Run.Code, o.Run.Stdout, o.Run.Stderr)
			}
		})
	}
}
