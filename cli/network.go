package cli

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/cli/inspect"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
)

// noNetworkError says that there is no network of a name.
type noNetworkError struct{ bridge.NotFoundError }

// Hint says where there are some.
func (*noNetworkError) Hint() string {
	return "`rootlet network ls` lists those that are there, `rootlet network create` makes one"
}

// findNetwork resolves the name of a network that containers share, its id, or the
// beginning of its id. It returns a *noNetworkError where there is none.
func findNetwork(paths sandbox.Paths, given string) (bridge.Network, error) {
	if slirp.HasOwn(given) {
		return bridge.Network{Name: given}, fmt.Errorf("network %s is none that containers share", given)
	}
	store := paths.Networks()
	n, err := store.Inspect(given)
	var missing *bridge.NotFoundError
	if !errors.As(err, &missing) {
		return n, err
	}
	entries, listErr := store.List()
	if listErr != nil {
		return n, listErr
	}
	var found []bridge.Network
	for _, e := range entries {
		if e.Err == nil && given != "" && strings.HasPrefix(e.ID, given) {
			found = append(found, e.Network)
		}
	}
	switch len(found) {
	case 0:
		return n, &noNetworkError{*missing}
	case 1:
		return found[0], nil
	}
	return n, fmt.Errorf("network %s is ambiguous: %d ids begin like that", given, len(found))
}

// describeNetwork is `network inspect`, of one that containers share or that each has
// of its own.
func describeNetwork(paths sandbox.Paths, given string, entries []record.Entry) (inspect.Network, error) {
	n, err := findNetwork(paths, given)
	if err == nil {
		return inspect.Shared(n, entries), nil
	}
	var missing *noNetworkError
	if slirp.HasOwn(given) || errors.As(err, &missing) {
		if name, found := inspect.FindNetwork(given); found {
			return inspect.NetworkOf(name, entries), nil
		}
	}
	return inspect.Network{}, err
}

// networkUsers lists the containers, running or not, that are to be in each network: by
// the network's name, their names.
func networkUsers(paths sandbox.Paths) (map[string][]string, error) {
	entries, err := knownContainers(record.Root(paths.Data))
	users := map[string][]string{}
	for _, e := range entries {
		for _, a := range e.Spec.Networks {
			users[a.Network] = append(users[a.Network], e.Spec.Name)
		}
	}
	return users, err
}

// networkEvent is what happened to a network: create, destroy, connect or disconnect.
func networkEvent(action string, n bridge.Network, container string) events.Event {
	e := events.Event{Type: events.Network, Action: action, ID: n.ID, Attributes: map[string]string{"name": n.Name, "type": bridge.Driver}}
	if container != "" {
		e.Attributes["container"] = container
	}
	return e
}
