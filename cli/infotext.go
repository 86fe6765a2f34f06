package cli

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/docker/go-units"

	"rootlet/userns"
)

// print writes the answer as docker info does: a "Key: value" a line, what
// belongs to a key indented below it by a space.
func (i *hostInfo) print(out io.Writer) error {
	var t text
	t.line(0, "Containers", i.Containers)
	t.line(1, "Running", i.ContainersRunning)
	t.line(1, "Stopped", i.ContainersStopped)
	t.line(0, "Images", i.Images)
	t.line(0, "Server Version", i.ServerVersion)
	i.printIDs(&t)
	i.printDriver(&t)
	i.printNetwork(&t)
	i.printUserNamespaces(&t)
	t.line(0, "Kernel Version", i.KernelVersion)
	t.line(0, "Operating System", i.OperatingSystem)
	t.line(0, "OSType", i.OSType)
	t.line(0, "Architecture", i.Architecture)
	t.line(0, "CPUs", i.NCPU)
	t.line(0, "Total Memory", units.BytesSize(float64(i.MemTotal)))
	t.line(0, "Name", i.Name)
	t.line(0, "Go Version", runtime.Version())
	t.line(0, "Data Directory", i.DockerRootDir)
	t.line(0, "Runtime Directory", i.RuntimeDir)
	for _, warning := range i.Warnings {
		t.line(0, "WARNING", warning)
	}
	_, err := io.WriteString(out, t.String())
	return err
}

func (i *hostInfo) printIDs(t *text) {
	if i.IDs.Method == "" {
		t.line(0, "Ids", "unknown")
		return
	}
	t.line(0, "Ids", i.IDs.Method)
	t.line(1, "Uid Map", extents(i.IDs.UIDs))
	t.line(1, "Gid Map", extents(i.IDs.GIDs))
	t.because(i.IDs.Why, i.IDs.Fix...)
}

// extents are the lines of an id map, as container:host:size.
func extents(list []userns.Extent) string {
	var words []string
	for _, e := range list {
		words = append(words, fmt.Sprintf("%d:%d:%d", e.ContainerID, e.HostID, e.Size))
	}
	return strings.Join(words, ", ")
}

func (i *hostInfo) printDriver(t *text) {
	if i.Driver == "" {
		t.line(0, "Storage Driver", "unknown")
		return
	}
	name := i.Driver
	if i.DriverForced {
		name += " (forced)"
	}
	t.line(0, "Storage Driver", name)
	for _, r := range i.DriversRuledOut {
		t.line(1, "Not "+r.Driver, r.Why)
	}
}

func (i *hostInfo) printNetwork(t *text) {
	t.line(0, "Network", i.Network.Driver)
	if i.Network.Path != "" {
		t.line(1, "slirp4netns", strings.TrimSpace(i.Network.Path+" "+i.Network.Version))
	}
	t.because(i.Network.Why, i.Network.Fix)
}

func (i *hostInfo) printUserNamespaces(t *text) {
	u := i.UserNamespaces
	switch {
	case u.Allowed:
		t.line(0, "User Namespaces", "allowed")
	case u.Setting != "":
		t.line(0, "User Namespaces", fmt.Sprintf("forbidden by %s = %s: no container can run", u.Setting, u.Value))
		t.line(1, "Error", u.Error)
		t.line(1, "Fix", u.Fix)
	default:
		t.line(0, "User Namespaces", "unknown")
	}
	for _, l := range u.Limits {
		t.line(1, l.Name, l.Value)
	}
}

// text collects lines.
type text struct{ strings.Builder }

// line writes a key and its value. Values come from programs and files of the
// host, too.
func (t *text) line(depth int, key string, value any) {
	line := strings.Repeat(" ", depth) + key + ": " + printable(fmt.Sprint(value))
	t.WriteString(strings.TrimRight(line, " ") + "\n")
}

// because says why something is not better, and what changes that.
func (t *text) because(why string, fix ...string) {
	if why == "" {
		return
	}
	t.line(1, "Why Not More", why)
	for _, line := range fix {
		if line != "" {
			t.line(1, "Fix", line)
		}
	}
}
