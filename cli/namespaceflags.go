package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// namespaceFlags say which namespaces a container has from others.
type namespaceFlags struct {
	IPC string `name:"ipc" placeholder:"MODE" help:"private (if not given), shareable, none, host, or container:NAME."`
	PID string `name:"pid" placeholder:"MODE" help:"private (if not given), host, or container:NAME."`
	UTS string `name:"uts" placeholder:"MODE" help:"private (if not given), host, or container:NAME."`
}

// private is a namespace of the container's own, in Podman's words; Docker's is no word.
const private = "private"

// fillNamespaces reads them.
func (c *newContainer) fillNamespaces(r *sandbox.Request) error {
	for _, flag := range []struct {
		name, value string
		own         []string // further words
		mode        *string
	}{
		{"--pid", c.PID, nil, &r.Spec.PID},
		{"--ipc", c.IPC, []string{record.Shareable, record.NoShm}, &r.Spec.IPC},
		{"--uts", c.UTS, nil, &r.Spec.UTS},
	} {
		var err error
		if *flag.mode, err = namespaceMode(flag.name, flag.value, flag.own); err != nil {
			return err
		}
	}
	return c.fillUTS(r)
}

// namespaceMode is what a record has for a flag.
func namespaceMode(flag, value string, own []string) (string, error) {
	words := append([]string{private, record.Host}, own...)
	other, shared := strings.CutPrefix(value, record.Sharing)
	switch {
	case value == "" || value == private:
		return "", nil
	case shared:
		id, _, err := findShared(flag, other)
		return record.Sharing + id, err
	}
	for _, word := range words {
		if value == word {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s %q: want %s, or container:NAME", flag, value, strings.Join(words, ", "))
}

// findShared finds the container that a flag shares something with.
func findShared(flag, given string) (string, record.Spec, error) {
	if given == "" {
		return "", record.Spec{}, fmt.Errorf("invalid %s container: want container:NAME, or an id", flag)
	}
	paths, err := findPaths()
	if err != nil {
		return "", record.Spec{}, err
	}
	root := record.Root(paths.Data)
	id, err := root.Find(given)
	if err != nil {
		return "", record.Spec{}, fmt.Errorf("%s: %w", flag, err)
	}
	spec, err := root.Spec(id)
	if err != nil {
		return "", record.Spec{}, fmt.Errorf("%s container:%s: %w", flag, given, err)
	}
	return id, spec, nil
}

// fillUTS gives the container the host name that goes with the namespace.
func (c *newContainer) fillUTS(r *sandbox.Request) (err error) {
	if r.Spec.UTS != "" && c.Hostname != "" {
		return errors.New("conflicting options: hostname and the UTS mode")
	}
	if r.Spec.UTS == record.Host {
		r.Spec.Hostname, err = os.Hostname()
	}
	if id := record.SharesWith(r.Spec.UTS); id != "" {
		_, other, found := findShared("--uts", id)
		r.Spec.Hostname, err = other.Hostname, found
	}
	return err
}
