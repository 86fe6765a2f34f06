package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"rootlet/sandbox/events"
)

// eventsCmd is `rootlet events`. It reads a file; no namespace, no lock.
type eventsCmd struct {
	Filter []string `name:"filter" short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those: container, event, image, label, network, scope, type or volume."`
	Format string   `name:"format" placeholder:"FORMAT" help:"json, or a Go template."`
	Since  string   `name:"since" placeholder:"TIME" help:"Those since, too: 2026-01-02T15:04:05, or 10m for ten minutes ago."`
	Until  string   `name:"until" placeholder:"TIME" help:"Those until then, and then end."`
}

// Run prints what happened and what happens, until it is broken off or the time
// has come.
func (c *eventsCmd) Run(a *app) error {
	filter, err := parseFilters(c.Filter, "container", "daemon", "event", "image", "label", "network", "plugin", "scope", "type", "volume")
	if err != nil {
		return err
	}
	since, err := optionalWhen("--since", c.Since, a.began)
	if err != nil {
		return err
	}
	until, err := optionalWhen("--until", c.Until, a.began)
	if err != nil {
		return err
	}
	show, err := c.printer(a.stdout)
	if err != nil {
		return err
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	each := func(e events.Event) error {
		if e.Time.Before(since) || !until.IsZero() && e.Time.After(until) || !matchesEvent(filter, e) {
			return nil
		}
		return show(e)
	}
	if !until.IsZero() && until.Before(time.Now()) {
		return events.Read(paths.Data, each)
	}
	ctx, stop := whileRead(os.Stdout)
	defer stop()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	past := !since.IsZero() || !until.IsZero()
	if err := events.Follow(ctx, paths.Data, past, each); ctx.Err() == nil {
		return err
	}
	return nil
}

// eventMessage is an event as Docker's API gives it; its fields are those of a
// --format template.
type eventMessage struct {
	Status   string     `json:"status,omitempty"` // the three that the API had first
	ID       string     `json:"id,omitempty"`
	From     string     `json:"from,omitempty"`
	Type     string     `json:"Type"`
	Action   string     `json:"Action"`
	Actor    eventActor `json:"Actor"`
	Scope    string     `json:"scope"`
	Time     int64      `json:"time"`
	TimeNano int64      `json:"timeNano"`
}

// eventActor is what an event happened to.
type eventActor struct {
	ID         string            `json:"ID"`
	Attributes map[string]string `json:"Attributes"`
}

// eventScope says that something happened on this host only; there is no other.
const eventScope = "local"

func message(e events.Event) eventMessage {
	m := eventMessage{
		Type: e.Type, Action: e.Action, Actor: eventActor{e.ID, e.Attributes}, Scope: eventScope,
		Time: e.Time.Unix(), TimeNano: e.Time.UnixNano(),
	}
	switch e.Type {
	case events.Container:
		m.Status, m.ID, m.From = e.Action, e.ID, e.Attributes["image"]
	case events.Image:
		m.Status, m.ID = e.Action, e.ID
	}
	return m
}

// printer is how an event is shown.
func (c *eventsCmd) printer(out io.Writer) (func(events.Event) error, error) {
	switch c.Format {
	case "":
		return func(e events.Event) error {
			_, err := fmt.Fprintln(out, eventLine(e))
			return err
		}, nil
	case "json":
		return func(e events.Event) error { return listJSON(out, []any{message(e)}) }, nil
	}
	t, err := parseTemplate(c.Format)
	if err != nil {
		return nil, err
	}
	return func(e events.Event) error { return executeLine(out, t, message(e)) }, nil
}

// eventLine is an event in Docker's words: time, type, action, id, and what is
// known besides, in brackets.
func eventLine(e events.Event) string {
	line := fmt.Sprintf("%s %s %s %s", e.Time.Local().Format(nanoseconds), e.Type, e.Action, e.ID)
	if len(e.Attributes) > 0 {
		var list []string
		for _, key := range slices.Sorted(maps.Keys(e.Attributes)) {
			list = append(list, key+"="+e.Attributes[key])
		}
		line += " (" + strings.Join(list, ", ") + ")"
	}
	return printable(line)
}

// matchesEvent reports whether an event is meant by the filters.
func matchesEvent(f filters, e events.Event) bool {
	named := func(kind string) bool {
		return f.any(kind, func(want string) bool {
			if e.Type == kind {
				return strings.HasPrefix(e.ID, want) || strings.TrimPrefix(want, "/") == e.Attributes["name"]
			}
			of := e.Attributes[kind] // a volume is mounted into a container
			return of != "" && strings.HasPrefix(of, want)
		})
	}
	return f.is("type", e.Type) && f.is("scope", eventScope) && !f.has("daemon") && !f.has("plugin") &&
		f.any("event", func(want string) bool {
			// exec_create is exec_create: COMMAND, health_status is health_status: healthy
			return e.Action == want || strings.HasPrefix(e.Action, want+":")
		}) &&
		named(events.Container) && named(events.Volume) && named(events.Network) &&
		f.any("image", func(want string) bool { return matchesImage(e, want) }) &&
		f.labels(e.Attributes)
}

// matchesImage reports whether an event is an image's, or that of a container
// made of it; the image's name may be given without a tag.
func matchesImage(e events.Event, want string) bool {
	var names []string
	switch e.Type {
	case events.Image:
		names = []string{e.ID, e.Attributes["name"], strings.TrimPrefix(e.ID, "sha256:")}
	case events.Container:
		names = []string{e.Attributes["image"]}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		repository, _ := splitName(name)
		return name == want || repository == want || repository == strings.TrimSuffix(want, ":latest") && strings.HasSuffix(want, ":latest")
	})
}
