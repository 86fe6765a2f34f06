package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"rootlet/sandbox/record"
)

// VolumesFrom reads --volumes-from, CONTAINER[:MODE]: the volumes and binds of
// other containers, running or not, at the same places. Of two for one place the
// later counts, as in Docker; the caller's own mounts go over them (WithVolumes).
func VolumesFrom(root record.Root, list []string) ([]record.Mount, error) {
	var all []record.Mount
	for _, text := range list {
		given, mode, _ := strings.Cut(text, ":")
		readOnly, err := fromMode(mode)
		if err != nil {
			return nil, fmt.Errorf("invalid --volumes-from %q: %w", text, err)
		}
		id, err := root.Find(given)
		if err != nil {
			return nil, fmt.Errorf("--volumes-from: %w", err)
		}
		spec, err := root.Spec(id)
		if err != nil {
			return nil, fmt.Errorf("--volumes-from %s: %w", given, err)
		}
		for _, m := range spec.Mounts {
			if m.Type == record.Tmpfs {
				continue
			}
			// The other container has filled it, or made the directory, by now.
			m.ReadOnly, m.NoCopy, m.MakeSource = m.ReadOnly || readOnly, m.Type == record.Volume, false
			all = append(slices.DeleteFunc(all, at(m.Target)), m)
		}
	}
	return all, nil
}

// WithVolumes lays a container's own mounts over those of others.
func WithVolumes(own, from []record.Mount) []record.Mount {
	all := slices.Clone(from)
	for _, m := range own {
		all = slices.DeleteFunc(all, at(m.Target))
	}
	return append(all, own...)
}

func at(target string) func(record.Mount) bool {
	return func(m record.Mount) bool { return m.Target == target }
}

// fromMode reads what follows the container's name. z and Z are for SELinux,
// which the kernel lets no ordinary user relabel for.
func fromMode(mode string) (readOnly bool, err error) {
	for word := range strings.SplitSeq(mode, ",") {
		switch word {
		case "ro":
			readOnly = true
		case "rw", "z", "Z", "":
		default:
			return false, fmt.Errorf("unknown mode %q: want ro, rw or z", word)
		}
	}
	return readOnly, nil
}
