//go:build !failpoints

package failpoint

// At is a step with this name; of says more, where it is taken for several
// things.
func At(name string, of ...string) {}

// Before is a step that goes by the name of the method that is about to be
// called.
func Before(func() error) {}

// Environ is what a process that executes itself anew hands on.
func Environ() []string { return nil }
