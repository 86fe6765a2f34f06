package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
)

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
