package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"rootlet/sandbox/events"
)

func sampleEvent() events.Event {
	return events.Event{
		Time: time.Unix(1700000000, 50).UTC(), Type: events.Container, Action: "die", ID: strings.Repeat("ab", 32),
		Attributes: map[string]string{"exitCode": "143", "image": "debian:12", "name": "web", "color": "\x1b[31m"},
	}
}

func TestEventForms(t *testing.T) {
	e := sampleEvent()
	for format, want := range map[string]string{
		"":     e.Time.Local().Format("2006-01-02T15:04:05.000000000Z07:00") + " container die " + e.ID + ` (color=\x1b[31m, exitCode=143, image=debian:12, name=web)`,
		"json": `{"status":"die","id":"` + e.ID + `","from":"debian:12","Type":"container","Action":"die","Actor":{"ID":"` + e.ID + `","Attributes":{"color":"\u001b[31m","exitCode":"143","image":"debian:12","name":"web"}},"scope":"local","time":1700000000,"timeNano":1700000000000000050}`,
		"{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Time}}": "container die web 1700000000",
	} {
		var out bytes.Buffer
		show, err := (&eventsCmd{Format: format}).printer(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := show(e); err != nil || out.String() != want+"\n" {
			t.Errorf("--format %q: %v\ngot  %swant %s", format, err, out.String(), want)
		}
	}
}

func TestEventFilters(t *testing.T) {
	container := sampleEvent()
	exec := container
	exec.Action = "exec_create: sh -c x"
	image := events.Event{Type: events.Image, Action: "pull", ID: "debian:12", Attributes: map[string]string{"name": "debian"}}
	volume := events.Event{Type: events.Volume, Action: "mount", ID: "data", Attributes: map[string]string{"container": container.ID, "driver": "local"}}
	for filter, want := range map[string]string{
		"":                            "container exec image volume",
		"type=container":              "container exec",
		"type=container type=image":   "container exec image",
		"event=die":                   "container",
		"event=exec_create":           "exec",
		"event=exec":                  "",
		"container=web":               "container exec",
		"container=ab":                "container exec volume",
		"container=we":                "",
		"container=abab type=volume":  "volume",
		"image=debian":                "container exec image",
		"image=debian:12 event=pull":  "image",
		"image=debian:11":             "",
		"volume=data":                 "volume",
		"label=color":                 "container exec",
		"label=exitCode=143 label=no": "",
		"scope=local event=mount":     "volume",
		"scope=swarm":                 "",
		"daemon=x":                    "",
	} {
		f, err := parseFilters(strings.Fields(filter), "container", "daemon", "event", "image", "label", "network", "plugin", "scope", "type", "volume")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range []struct {
			name string
			e    events.Event
		}{{"container", container}, {"exec", exec}, {"image", image}, {"volume", volume}} {
			if matchesEvent(f, c.e) {
				got = append(got, c.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %v, want %s", filter, got, want)
		}
	}
}
