package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
	"rootlet/userns"
)

// print writes the answer as docker info does: a "Key: value" a line, what
// belongs to a key indented below it by a space. What Docker does not know comes
// after what it does.
func (i *hostInfo) print(out io.Writer) error {
	var t text
	t.section("Client")
	t.line("Version", i.ServerVersion)
	t.line("Context", i.ClientInfo.Context)
	t.line("Debug Mode", i.ClientInfo.Debug)
	t.section("Server")
	i.printServer(&t)
	t.section("Rootlet")
	i.printLevel(&t)
	i.printIDs(&t)
	i.printDriver(&t)
	i.printCgroup(&t)
	i.printNetwork(&t)
	i.printUserNamespaces(&t)
	i.printSeccomp(&t)
	i.printLandlock(&t)
	t.line("Runtime Directory", i.RuntimeDir)
	i.printImageStores(&t)
	i.printSettings(&t)
	t.line("Go Version", i.ClientInfo.GoVersion)
	for _, warning := range i.Warnings {
		t.at(0, "WARNING", warning)
	}
	_, err := io.WriteString(out, t.String())
	return err
}

func (i *hostInfo) printServer(t *text) {
	t.line("Containers", i.Containers)
	t.below("Running", i.ContainersRunning)
	t.below("Paused", i.ContainersPaused)
	t.below("Stopped", i.ContainersStopped)
	t.line("Images", i.Images)
	t.line("Server Version", i.ServerVersion)
	t.line("Storage Driver", orUnknown(i.Driver))
	t.line("Logging Driver", i.LoggingDriver)
	t.line("Cgroup Driver", i.CgroupDriver)
	t.line("Cgroup Version", i.CgroupVersion)
	t.line("Plugins", "")
	t.below("Volume", strings.Join(i.Plugins.Volume, " "))
	t.below("Network", strings.Join(i.Plugins.Network, " "))
	t.below("Log", strings.Join(i.Plugins.Log, " "))
	t.line("Swarm", i.Swarm.LocalNodeState)
	t.line("Default Runtime", i.DefaultRuntime)
	t.line("Security Options", "")
	for _, option := range i.SecurityOptions {
		name, more, _ := strings.Cut(strings.TrimPrefix(option, "name="), ",")
		t.item(name)
		if key, value, ok := strings.Cut(more, "="); ok {
			t.at(3, map[string]string{"profile": "Profile", "abi": "ABI"}[key], value)
		}
	}
	t.line("Kernel Version", i.KernelVersion)
	t.line("Operating System", i.OperatingSystem)
	t.line("OSType", i.OSType)
	t.line("Architecture", i.Architecture)
	t.line("CPUs", i.NCPU)
	t.line("Total Memory", units.BytesSize(float64(i.MemTotal)))
	t.line("Name", i.Name)
	t.line("Docker Root Dir", i.DockerRootDir)
	t.line("Debug Mode", false)
	t.line("Experimental", i.ExperimentalBuild)
	t.line("Registry", i.IndexServerAddress)
	t.line("Insecure Registries", "")
	for _, name := range slices.Sorted(maps.Keys(i.RegistryConfig.IndexConfigs)) {
		if !i.RegistryConfig.IndexConfigs[name].Secure {
			t.item(name)
		}
	}
	for _, r := range i.RegistryConfig.InsecureRegistryCIDRs {
		t.item(r)
	}
	t.line("Registry Mirrors", "")
	for _, m := range i.RegistryConfig.Mirrors {
		t.item(m)
	}
	for _, name := range slices.Sorted(maps.Keys(i.RegistryConfig.IndexConfigs)) {
		i.printRegistry(t, i.RegistryConfig.IndexConfigs[name])
	}
	t.line("Live Restore Enabled", i.LiveRestoreEnabled)
}

// printRegistry writes what Docker has no word for: mirrors of other registries
// than its own, and registries that are blocked.
func (i *hostInfo) printRegistry(t *text, r indexConfig) {
	if len(r.Mirrors) > 0 && !r.Official {
		t.line("Registry Mirrors of "+r.Name, "")
		for _, m := range r.Mirrors {
			t.item(m)
		}
	}
	if r.Blocked {
		t.line("Blocked Registry", r.Name)
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (i *hostInfo) printCgroup(t *text) {
	by := i.Limits.By
	if by == "" {
		by = "best effort: no control groups"
	}
	if len(i.Limits.Controllers) > 0 {
		by += ": " + strings.Join(i.Limits.Controllers, " ")
	}
	t.line("Limits", by)
	t.because(i.Limits.Why)
}

func (i *hostInfo) printIDs(t *text) {
	if i.IDs.Method == "" {
		t.line("Ids", "unknown")
		return
	}
	t.line("Ids", i.IDs.Method)
	t.below("Uid Map", extents(i.IDs.UIDs))
	t.below("Gid Map", extents(i.IDs.GIDs))
	t.because(i.IDs.Why, i.IDs.Fix...)
	if len(i.IDs.Emulation) > 0 {
		t.line("Root Emulation", map[bool]string{true: "remembers owners and ids", false: record.ZeroConsistency}[i.IDs.EmulationWhy == ""])
		t.because(i.IDs.EmulationWhy)
	}
}

// printLevel is about a container that would be started now.
func (i *hostInfo) printLevel(t *text) {
	switch {
	case i.UserNamespaces.Allowed:
		t.line("Level", record.LevelName(i.Level))
	case i.UserNamespaces.Setting != "":
		t.line("Level", "none")
	default:
		t.line("Level", "unknown")
	}
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
	name := orUnknown(i.Driver)
	if i.DriverForced {
		name += " (forced)"
	}
	t.line("Storage", name)
	for _, r := range i.DriversRuledOut {
		t.below("Not "+r.Driver, r.Why)
	}
	t.line("Data File System", orUnknown(i.Place.FS))
	for _, f := range i.Place.Faults {
		t.below("No "+f.Feature, f.Why)
	}
	if i.Place.Layers != "" {
		t.line("Layers Directory", i.Place.Layers+" ("+orUnknown(i.Place.LayersFS)+")")
	}
}

func (i *hostInfo) printNetwork(t *text) {
	t.line("Network", i.Network.Driver)
	if i.Network.Path != "" {
		t.below("Program", strings.TrimSpace(i.Network.Path+" "+i.Network.Version))
	}
	t.because(i.Network.Why, i.Network.Fix)
}

func (i *hostInfo) printUserNamespaces(t *text) {
	u := i.UserNamespaces
	switch {
	case u.Allowed:
		t.line("User Namespaces", "allowed")
	case u.Setting != "":
		t.line("User Namespaces", fmt.Sprintf("forbidden by %s = %s: no container can run", u.Setting, u.Value))
		t.below("Error", u.Error)
		t.below("Fix", u.Fix)
	default:
		t.line("User Namespaces", "unknown")
	}
	for _, l := range u.Limits {
		t.below(l.Name, l.Value)
	}
}

func (i *hostInfo) printSeccomp(t *text) {
	if len(i.SeccompActions) == 0 {
		t.line("Seccomp", "none")
		t.because("this kernel has no filters of system calls", "run with --security-opt seccomp=unconfined what you trust")
		return
	}
	t.line("Seccomp", record.Builtin)
	t.below("Actions", strings.Join(i.SeccompActions, " "))
}

// printLandlock is about what a sandbox and processes of rootlet's own are restricted by.
func (i *hostInfo) printLandlock(t *text) {
	if i.Landlock.ABI == 0 {
		t.line("Landlock", "none")
		t.because(i.Landlock.Why, "")
		return
	}
	t.line("Landlock", fmt.Sprintf("ABI %d", i.Landlock.ABI))
}

// printImageStores says which others' images are used, and which cannot be.
func (i *hostInfo) printImageStores(t *text) {
	for _, s := range i.ImageStores {
		if s.Error != "" {
			t.line("Image Store", s.Dir+" cannot be used")
			t.below("Error", s.Error)
			continue
		}
		t.line("Image Store", s.Dir)
		t.below("Images", s.Images)
	}
}

// text collects lines.
type text struct{ strings.Builder }

// section begins what is about one thing.
func (t *text) section(title string) {
	if t.Len() > 0 {
		t.WriteByte('\n')
	}
	t.WriteString(title + ":\n")
}

// line writes a key of a section, and its value.
func (t *text) line(key string, value any) { t.at(1, key, value) }

// below writes what belongs to the line before it.
func (t *text) below(key string, value any) { t.at(2, key, value) }

// item writes a value that belongs to the line before it.
func (t *text) item(value string) { t.WriteString("  " + printable(value) + "\n") }

// at writes a key and its value. Values come from programs and files of the
// host, too.
func (t *text) at(depth int, key string, value any) {
	line := strings.Repeat(" ", depth) + key + ": " + printable(fmt.Sprint(value))
	t.WriteString(strings.TrimRight(line, " ") + "\n")
}

// because says why something is not better, and what changes that.
func (t *text) because(why string, fix ...string) {
	if why == "" {
		return
	}
	t.below("Why Not More", why)
	for _, line := range fix {
		if line != "" {
			t.below("Fix", line)
		}
	}
}
