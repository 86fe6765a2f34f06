// Package events keeps what happened to containers, images, volumes and
// networks: one line of JSON an event, in a file that every process of the
// user's appends to. There is no daemon to ask: whoever changes something writes
// it down, and `rootlet events` reads and follows the file.
//
// Nothing depends on it. A lost event costs a line of output, so Append is
// quick, takes no lock that anyone holds for long, and its error is the caller's
// to forget.
package events

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"rootlet/sandbox/record"
)

// Types of events, as Docker names them: what Event.ID is the id of.
const (
	Container = "container"
	Image     = "image"
	Volume    = "volume"
	Network   = "network"
)

// Event is one thing that happened. Action is Docker's word: create, start, die,
// destroy ... A container's attributes are its labels and image and name, and
// what the action adds: exitCode, signal, execID.
type Event struct {
	Time       time.Time         `json:"time"` // zero: now
	Type       string            `json:"type"`
	Action     string            `json:"action"`
	ID         string            `json:"id"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Of is an event of a container's. more are pairs of further attributes.
func Of(s *record.Spec, action string, more ...string) Event {
	attributes := map[string]string{}
	maps.Copy(attributes, s.Labels)
	attributes["image"], attributes["name"] = s.Image, s.Name
	for ; len(more) > 1; more = more[2:] {
		attributes[more[0]] = more[1]
	}
	return Event{Type: Container, Action: action, ID: s.ID, Attributes: attributes}
}

// maxLine is how long a line gets. An image chooses the labels: without a limit
// one start of a container could push all other events out of the file.
const maxLine = 4 << 10

// maxValue is how much of one value stays where all of it is too much.
const maxValue = 256

// line is the event as it stands in the file, shortened where it is too long.
// The newline before it ends what a full disk, or a power cut, has left of the
// line before.
func (e Event) line() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil || len(b)+2 > maxLine {
		e.shorten()
		b, err = json.Marshal(e)
	}
	return append(append([]byte{'\n'}, b...), '\n'), err
}

// shorten drops attributes, the longest first and those of Docker's own last,
// until the line is short enough.
func (e *Event) shorten() {
	const frame = 512 // what is no attribute, at most; as escaped JSON
	e.ID, e.Action, e.Type = cut(e.ID, 128), cut(e.Action, 64), cut(e.Type, 32)
	all := e.Attributes
	keys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if own(a) != own(b) {
			if own(a) {
				return -1
			}
			return 1
		}
		if d := len(a) + len(all[a]) - len(b) - len(all[b]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	e.Attributes = map[string]string{}
	for left := maxLine - frame; len(keys) > 0; keys = keys[1:] {
		key, value := keys[0], cut(all[keys[0]], maxValue)
		text, _ := json.Marshal([2]string{key, value})
		if left -= len(text); left < 0 {
			return
		}
		e.Attributes[key] = value
	}
}

// own reports whether an attribute is one of Docker's and no label.
func own(key string) bool {
	return slices.Contains([]string{"name", "image", "exitCode", "signal", "execID", "container", "driver"}, key)
}

// cut shortens s to n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
