package volume

import "rootlet/sandbox/events"

// Driver is the only one there is.
const Driver = "local"

// Event is what happened to a volume: create, mount, unmount or destroy. more
// are pairs of further attributes.
func Event(action, name string, more ...string) events.Event {
	attributes := map[string]string{"driver": Driver}
	for ; len(more) > 1; more = more[2:] {
		attributes[more[0]] = more[1]
	}
	return events.Event{Type: events.Volume, Action: action, ID: name, Attributes: attributes}
}
