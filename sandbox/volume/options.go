package volume

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// CheckOptions reports whether a volume may have these options. Docker hands
// them to mount(2). Of that, a bind is what an ordinary user can have:
// type=none, o=bind, device=/path makes a volume of a directory of his.
func CheckOptions(options map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(options)) {
		switch key {
		case "type", "o", "device":
		default:
			return fmt.Errorf("invalid option %q: the driver local has type, o and device", key)
		}
	}
	if len(options) == 0 {
		return nil
	}
	b, err := bindFlags(options["o"])
	switch kind := options["type"]; {
	case kind == "tmpfs":
		return fmt.Errorf("option type=tmpfs: it would have to be held by a process that outlives its containers, and there is none; use run's --tmpfs")
	case kind != "" && kind != "none" && kind != "bind":
		return fmt.Errorf("option type=%s: only the host's root may mount that; mount it on the host and use type=none, o=bind, device=/path", kind)
	case err != nil:
		return err
	case !b.bind:
		return fmt.Errorf("options type, o and device: only a bind is supported: type=none, o=bind, device=/path")
	case !filepath.IsAbs(options["device"]):
		return fmt.Errorf("option device=%s: not an absolute path", options["device"])
	}
	return nil
}

// flags are what the option o says of a bind.
type flags struct{ bind, recursive, readOnly, noExec bool }

func bindFlags(text string) (flags, error) {
	var f flags
	for word := range strings.SplitSeq(text, ",") {
		switch word {
		case "bind":
			f.bind = true
		case "rbind":
			f.bind, f.recursive = true, true
		case "ro":
			f.readOnly = true
		case "noexec":
			f.noExec = true
		case "rw", "nosuid", "nodev", "": // a bind is always without the latter two
		default:
			return f, fmt.Errorf("option o=%s: unknown word %q: want bind or rbind, and ro or noexec", text, word)
		}
	}
	return f, nil
}

// Device is the directory of the host's that the volume stands for; empty for a
// volume with a directory of its own.
func (v Volume) Device() string { return v.Options["device"] }
