package cli

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// fillMounts reads -v, --mount and --tmpfs, in Docker's words.
func (c *newContainer) fillMounts(r *sandbox.Request) error {
	for _, flag := range []struct {
		name   string
		values []string
		parse  func(string) (record.Mount, error)
	}{
		{"--volume", c.Volume, parseVolume},
		{"--mount", c.Mount, parseMount},
		{"--tmpfs", c.Tmpfs, parseTmpfs},
	} {
		for _, text := range flag.values {
			m, err := flag.parse(text)
			if err != nil {
				return fmt.Errorf("invalid %s %q: %w", flag.name, text, err)
			}
			if slices.ContainsFunc(r.Spec.Mounts, func(other record.Mount) bool { return other.Target == m.Target }) {
				return fmt.Errorf("duplicate mount point: %s", m.Target)
			}
			r.Spec.Mounts = append(r.Spec.Mounts, m)
		}
	}
	return c.fillScratch(r)
}

// fillScratch is --read-only-tmpfs: Podman's places where programs expect to write.
func (c *newContainer) fillScratch(r *sandbox.Request) error {
	if !c.ReadTmpfs {
		return nil
	}
	if !c.ReadOnly {
		return errors.New("--read-only-tmpfs goes with --read-only")
	}
	for _, target := range []string{"/run", "/tmp", "/var/tmp"} {
		if !slices.ContainsFunc(r.Spec.Mounts, func(m record.Mount) bool { return m.Target == target }) {
			r.Spec.Mounts = append(r.Spec.Mounts, record.Mount{Type: record.Tmpfs, Target: target})
		}
	}
	return nil
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
		return m, errors.New("want SOURCE:TARGET[:OPTIONS]")
	}
	return m, checkedTarget(&m)
}

func volumeSource(source string) (record.Mount, error) {
	if source == "" {
		return record.Mount{}, errors.New("the source is empty")
	}
	if !strings.ContainsAny(source[:1], "/.~") {
		return record.Mount{Type: record.Volume, Source: source}, volume.CheckName(source)
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
		default:
			if err := propagation(m, option); err != nil {
				return fmt.Errorf("unknown option %q", option)
			}
		}
	}
	return nil
}

func propagation(m *record.Mount, value string) error {
	switch value {
	case "private", "rprivate", "slave", "rslave", "shared", "rshared":
		m.Propagation = value
		return nil
	}
	return fmt.Errorf("propagation %q: want one of private, slave and shared, or the same with an r before it", value)
}

func checkedTarget(m *record.Mount) error {
	if !path.IsAbs(m.Target) {
		return fmt.Errorf("the target %q is not an absolute path", m.Target)
	}
	if strings.ContainsAny(m.Target, "\x00\n") || strings.ContainsAny(m.Source, "\x00\n") {
		return errors.New("control characters in a path")
	}
	m.Target = path.Clean(m.Target)
	if m.Target == "/" {
		return errors.New("the target must not be /")
	}
	return nil
}
