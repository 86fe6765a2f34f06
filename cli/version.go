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
type versionCmd struct {
	Format string `name:"format" short:"f" placeholder:"FORMAT" help:"json, or a Go template."`
}

// versions is what --format works on. Client and engine are one program; Docker's
// scripts ask for either.
type versions struct {
	versionOf
	Client, Server versionOf
}

type versionOf struct{ Version, GitCommit, GoVersion, Os, Arch string }

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	v := versionOf{version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if c.Format != "" {
		return printFormatted(a.stdout, c.Format, versions{v, v, v})
	}
	_, err := fmt.Fprintf(a.stdout, "rootlet %s\n commit %s\n %s %s/%s\n", v.Version, v.GitCommit, v.GoVersion, v.Os, v.Arch)
	return err
}
