package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

// parseMount reads --mount: KEY=VALUE fields, separated as in CSV. A bind's
// source must be there.
func parseMount(text string) (record.Mount, error) {
	if strings.ContainsAny(text, "\x00\r\n") {
		return record.Mount{}, errors.New("control characters in it")
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if errors.Is(err, io.EOF) {
		return record.Mount{}, errors.New("it is empty")
	}
	if err != nil {
		return record.Mount{}, err
	}
	m := record.Mount{Type: record.Volume, Recursive: true}
	given := map[string]bool{}
	for _, field := range fields {
		key, value, hasValue := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		given[key] = true
		if err := mountField(&m, key, value, hasValue); err != nil {
			return m, err
		}
	}
	if err := finishMount(&m, given); err != nil {
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
		return propagation(m, value)
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

// finishMount checks what only shows once all fields are read.
func finishMount(m *record.Mount, given map[string]bool) error {
	for _, kind := range []string{record.Bind, record.Volume, record.Tmpfs} {
		for key := range given {
			if kind != m.Type && strings.HasPrefix(key, kind+"-") {
				return fmt.Errorf("options of a %s with type %s", kind, m.Type)
			}
		}
	}
	m.Recursive = m.Recursive && m.Type == record.Bind
	switch m.Type {
	case record.Bind:
		if m.Source == "" {
			return errors.New("a bind needs a source")
		}
		var err error
		m.Source, err = hostPath(m.Source)
		return err
	case record.Volume:
		if m.Source != "" {
			return volume.CheckName(m.Source)
		}
	case record.Tmpfs:
		if m.Source != "" {
			return errors.New("a tmpfs has no source")
		}
		m.NoExec = m.NoExec || !given["noexec"] // as --tmpfs, and as Docker
	}
	return nil
}
