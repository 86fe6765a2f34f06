package cli

import (
	"fmt"
	"runtime"
)

// Set by the Makefile, by -ldflags -X.
var (
	version = "unknown"
	commit  = "unknown"
)

// versionCmd is `rootlet version`.
type versionCmd struct{}

// Run prints the version, client and engine being one.
func (*versionCmd) Run(a *app) error {
	fmt.Fprintf(a.stdout, "rootlet %s\n commit %s\n %s %s/%s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
