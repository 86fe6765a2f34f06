package cli

import (
	"path/filepath"
	"testing"
	"time"

	"rootlet/sandbox/record"
)

// emptyHome gives the commands of a test a data directory of their own.
func emptyHome(t *testing.T) record.Root {
	t.Helper()
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", home)
	return record.Root(filepath.Join(home, "rootlet"))
}

// keep writes the record of a container, which lives until the end of the test
// where the state says so. It returns its id.
func keep(t *testing.T, root record.Root, spec record.Spec, state record.State) string {
	t.Helper()
	c, err := root.Create(spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	spec.Version, spec.ID, spec.Name = record.Version, c.ID, c.Name
	if spec.Created.IsZero() {
		spec.Created = time.Now()
	}
	if err := c.WriteSpec(&spec); err != nil {
		t.Fatal(err)
	}
	if state.Status != record.Created {
		if err := c.WriteState(state, false); err != nil {
			t.Fatal(err)
		}
	}
	if state.Status == record.Created || state.Status == record.Exited {
		c.Close()
	} else {
		t.Cleanup(func() { c.Close() })
	}
	return c.ID
}
