package cli

import (
	"encoding/csv"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// fillMounts reads -v, --mount and --tmpfs, in Docker's words.
func (c *runCmd) fillMounts(r *sandbox.Request) error {
	var mounts []record.Mount
	for flag, values := range map[string][]string{"-v": c.Volume, "--mount": c.Mount, "--tmpfs": c.Tmpfs} {
		for _, text := range values {
			m, err := mountParsers[flag](text)
			if err != nil {
				return fmt.Errorf("invalid %s %q: %w", flag, text, err)
			}
			mounts = append(mounts, m)
		}
	}
	seen := map[string]bool{}
	for _, m := range mounts {
		if seen[m.Target] {
			return fmt.Errorf("duplicate mount point: %s", m.Target)
		}
		seen[m.Target] = true
	}
	r.Spec.Mounts = mounts
	return nil
}

var mountParsers = map[string]func(string) (record.Mount, error){
	"-v": parseVolume, "--mount": parseMount, "--tmpfs": parseTmpfs,
}

// parseVolume reads SOURCE:TARGET[:OPTIONS], or TARGET for an anonymous volume.
// A source that begins with / . or ~ is a path; any other names a volume.
func parseVolume(text string) (record.Mount, error) {
	parts := strings.Split(text, ":")
	var m record.Mount
	switch len(parts) {
	case 1:
		m = record.Mount{Type: record.Volume, Target: parts[0]}
	case 2, 3:
		source, err := volumeSource(parts[0])
		if err != nil {
			return m, err
		}
		m = source
		m.Target = parts[1]
		if len(parts) == 3 {
			if err := volumeOptions(&m, parts[2]); err != nil {
				return m, err
			}
		}
	default:
		return m, fmt.Errorf("want SOURCE:TARGET[:OPTIONS]")
	}
	return m, checkedTarget(&m)
}

func volumeSource(source string) (record.Mount, error) {
	if source == "" {
		return record.Mount{}, fmt.Errorf("the source is empty")
	}
	if !strings.ContainsAny(source[:1], "/.~") {
		return record.Mount{Type: record.Volume, Source: source}, sandbox.CheckVolumeName(source)
	}
	host, err := hostPath(source)
	return record.Mount{Type: record.Bind, Source: host, Recursive: true, MakeSource: true}, err
}

// hostPath makes a path of the user's absolute, where he is now.
func hostPath(given string) (string, error) {
	if given == "~" || strings.HasPrefix(given, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		given = filepath.Join(home, given[1:])
	}
	return filepath.Abs(given)
}

func volumeOptions(m *record.Mount, options string) error {
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "ro", "readonly":
			m.ReadOnly = true
		case "rw", "z", "Z", "cached", "delegated", "consistent", "":
			// z and Z relabel for SELinux, which the kernel lets no ordinary user
			// do; the last three are Docker Desktop's.
		case "nosuid":
			m.NoSuid = true
		case "nodev":
			m.NoDev = true
		case "noexec":
			m.NoExec = true
		case "nocopy":
			m.NoCopy = true
		case "rbind":
			m.Recursive = true
		case "bind":
			m.Recursive = false
		case "private", "rprivate", "slave", "rslave", "shared", "rshared":
			m.Propagation = option
		default:
			return fmt.Errorf("unknown option %q", option)
		}
	}
	return nil
}

// parseMount reads --mount: KEY=VALUE fields, separated as in CSV. A bind's
// source must be there.
func parseMount(text string) (record.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return record.Mount{}, err
	}
	m := record.Mount{Type: record.Volume, Recursive: true}
	for _, field := range fields {
		key, value, hasValue := strings.Cut(field, "=")
		if err := mountField(&m, strings.ToLower(strings.TrimSpace(key)), value, hasValue); err != nil {
			return m, err
		}
	}
	if err := finishMount(&m); err != nil {
		return m, err
	}
	return m, checkedTarget(&m)
}

func mountField(m *record.Mount, key, value string, hasValue bool) error {
	switch key {
	case "type":
		if value != record.Bind && value != record.Volume && value != record.Tmpfs {
			return fmt.Errorf("unknown type %q: bind, volume or tmpfs", value)
		}
		m.Type = value
	case "source", "src":
		m.Source = value
	case "target", "destination", "dst":
		m.Target = value
	case "bind-propagation":
		return volumeOptions(m, value)
	case "tmpfs-size":
		return tmpfsOption(m, "size", value)
	case "tmpfs-mode":
		return tmpfsOption(m, "mode", value)
	case "readonly", "ro", "nosuid", "nodev", "noexec", "volume-nocopy", "bind-nonrecursive":
		on := true
		if hasValue {
			var err error
			if on, err = strconv.ParseBool(value); err != nil {
				return fmt.Errorf("%s: want true or false", key)
			}
		}
		*mountSwitch(m, key) = on != (key == "bind-nonrecursive")
	default:
		return fmt.Errorf("unknown field %q", key)
	}
	return nil
}

func mountSwitch(m *record.Mount, key string) *bool {
	return map[string]*bool{
		"readonly": &m.ReadOnly, "ro": &m.ReadOnly, "nosuid": &m.NoSuid, "nodev": &m.NoDev,
		"noexec": &m.NoExec, "volume-nocopy": &m.NoCopy, "bind-nonrecursive": &m.Recursive,
	}[key]
}

func finishMount(m *record.Mount) error {
	switch m.Type {
	case record.Bind:
		if m.Source == "" {
			return fmt.Errorf("a bind needs a source")
		}
		host, err := hostPath(m.Source)
		if err != nil {
			return err
		}
		m.Source = host
	case record.Volume:
		if m.Source != "" {
			return sandbox.CheckVolumeName(m.Source)
		}
	case record.Tmpfs:
		if m.Source != "" {
			return fmt.Errorf("a tmpfs has no source")
		}
	}
	return nil
}

// parseTmpfs reads --tmpfs: PATH[:OPTIONS], as mount(8) would have them. A
// tmpfs does not execute programs unless asked to, as Docker's.
func parseTmpfs(text string) (record.Mount, error) {
	target, options, _ := strings.Cut(text, ":")
	m := record.Mount{Type: record.Tmpfs, Target: target, NoExec: true}
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		if err := tmpfsOption(&m, key, value); err != nil {
			return m, err
		}
	}
	return m, checkedTarget(&m)
}

func tmpfsOption(m *record.Mount, key, value string) error {
	switch key {
	case "", "rw", "nosuid", "nodev":
	case "ro":
		m.ReadOnly = true
	case "noexec":
		m.NoExec = true
	case "exec":
		m.NoExec = false
	case "size":
		size, err := units.RAMInBytes(value)
		if err != nil || size <= 0 {
			return fmt.Errorf("size %q: want one such as 64m", value)
		}
		m.Size = size
	case "mode":
		mode, err := strconv.ParseUint(value, 8, 12)
		if err != nil {
			return fmt.Errorf("mode %q: want octal digits such as 1777", value)
		}
		m.Mode = uint32(mode)
	default:
		return fmt.Errorf("unknown option %q", key)
	}
	return nil
}

func checkedTarget(m *record.Mount) error {
	if !path.IsAbs(m.Target) {
		return fmt.Errorf("the target %q is not an absolute path", m.Target)
	}
	if strings.ContainsAny(m.Target, "\x00\n") || strings.ContainsAny(m.Source, "\x00\n") {
		return fmt.Errorf("control characters in a path")
	}
	m.Target = path.Clean(m.Target)
	if m.Target == "/" {
		return fmt.Errorf("the target must not be /")
	}
	return nil
}
