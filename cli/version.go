package cli

import (
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sys/unix"
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
	Client, Server versionOf
	versionOf
}

type versionOf struct{ Version, GitCommit, GoVersion, Os, Arch, KernelVersion string }

func thisVersion() versionOf {
	v := versionOf{Version: version, GitCommit: commit, GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		v.KernelVersion = unix.ByteSliceToString(name.Release[:])
	}
	return v
}

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	v := thisVersion()
	if c.Format != "" {
		return printFormatted(a.stdout, c.Format, versions{v, v, v})
	}
	var t text
	t.WriteString("Client: rootlet\n")
	v.print(&t, " ")
	t.WriteString("\nServer: the same program, there is no daemon\n Engine:\n")
	v.print(&t, "  ")
	_, err := io.WriteString(a.stdout, t.String())
	return err
}

func (v versionOf) print(t *text, indent string) {
	for _, line := range [...][2]string{
		{"Version", v.Version},
		{"Go version", v.GoVersion},
		{"Git commit", v.GitCommit},
		{"OS/Arch", v.Os + "/" + v.Arch},
	} {
		fmt.Fprintf(t, "%s%-*s%s\n", indent, 20-len(indent), line[0]+":", line[1])
	}
}

// printShortVersion is --version.
func printShortVersion(out io.Writer) error {
	_, err := fmt.Fprintf(out, "rootlet version %s, build %s\n", version, commit)
	return err
}
