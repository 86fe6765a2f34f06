package integration

import (
	"path/filepath"
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
	var plain hosts.Outcome
	for i, c := range hosts.Conditions() {
		if i > 0 && testing.Short() && !c.Want.Noticed() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			dir := t.TempDir()
			o, err := hosts.Rootlet.Try(t.Context(), c, filepath.Join(dir, "host"), rootlet)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				plain = o
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
