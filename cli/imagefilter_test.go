package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay"
)

func TestImageFilters(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	view := storeOf(t, emptyHome(t), map[string]string{"aa01": "debian one"})
	all := []fuseoverlay.Image{
		{ID: "aa01", Names: []string{"docker.io/library/debian:12", "quay.io/team/app:v1"}, Created: day(1)},
		{ID: "bb02", Names: []string{"localhost/a/b/c:latest"}, Created: day(2)},
		{ID: "cc03", Created: day(3)},
	}
	for flags, want := range map[string]string{
		"":                                   "debian:12 quay.io/team/app:v1 localhost/a/b/c:latest cc03",
		"dangling=true":                      "cc03",
		"dangling=0":                         "debian:12 quay.io/team/app:v1 localhost/a/b/c:latest",
		"reference=debian":                   "debian:12",
		"reference=docker.io/library/deb*":   "debian:12",
		"reference=debian:1?":                "debian:12",
		"reference=debian:13":                "",
		"reference=*":                        "debian:12",
		"reference=*/*/*":                    "quay.io/team/app:v1",
		"reference=localhost/*/*/*:latest":   "localhost/a/b/c:latest",
		"reference=debian reference=quay*/*": "debian:12",
		"until=2026-01-02T00:00:00Z":         "debian:12 quay.io/team/app:v1",
		"label=none":                         "",
	} {
		f, err := parseFilters(strings.Fields(flags), imageFilterKeys...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := imageFilter{filters: f, view: view, all: all, now: day(4)}.apply()
		var shown []string
		for _, i := range got {
			for _, name := range i.Names {
				shown = append(shown, familiar(name))
			}
			if len(i.Names) == 0 {
				shown = append(shown, i.ID)
			}
		}
		if err != nil || strings.Join(shown, " ") != want {
			t.Errorf("%s: %v, %v; want %s", flags, shown, err, want)
		}
	}
	for _, wrong := range []string{"dangling=maybe", "until=x", "before=UPPER", "since=nobody", "reference=[a"} {
		f, _ := parseFilters([]string{wrong}, imageFilterKeys...)
		if got, err := (imageFilter{filters: f, view: view, all: all}).apply(); err == nil {
			t.Errorf("%s: %v", wrong, got)
		}
	}
}

func TestRmiNames(t *testing.T) {
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	two := &fuseoverlay.Image{Names: []string{"quay.io/a/b:1", "docker.io/library/x:latest"}}
	for _, c := range []struct {
		work  rmiWork
		image *fuseoverlay.Image
		want  string // empty: refused
	}{
		{rmiWork{Name: "quay.io/a/b:1"}, two, "quay.io/a/b:1"},
		{rmiWork{Name: "quay.io/a/b@" + digest}, two, "quay.io/a/b:1"},
		{rmiWork{Name: "abcdef"}, two, ""},
		{rmiWork{Name: "abcdef", Force: true}, two, "quay.io/a/b:1 docker.io/library/x:latest"},
		{rmiWork{Name: "abcdef"}, &fuseoverlay.Image{Names: two.Names[:1]}, "quay.io/a/b:1"},
		{rmiWork{Name: "quay.io/a/b@" + digest}, &fuseoverlay.Image{Names: []string{"quay.io/a/b:1", "quay.io/a/b:2"}}, "quay.io/a/b:1 quay.io/a/b:2"},
		{rmiWork{Name: "quay.io/was/once@" + digest}, &fuseoverlay.Image{Names: two.Names[:1]}, "quay.io/a/b:1"},
	} {
		got, err := c.work.names(c.image)
		if (err != nil) != (c.want == "") || strings.Join(got, " ") != c.want {
			t.Errorf("%+v of %v: %v, %v", c.work, c.image.Names, got, err)
		}
	}
}

func TestRemovedImageLines(t *testing.T) {
	gone := removedImage{
		ID: "aa", Digest: "sha256:dd", Whole: true, Layers: []string{"l2", "l1"},
		Names: []string{"docker.io/library/x:1", "docker.io/library/x:2", "quay.io/a/b@sha256:ee"},
	}
	want := []string{"- x:1", "- x@sha256:dd", "- x:2", "- quay.io/a/b@sha256:ee", "+ sha256:aa", "+ sha256:l2", "+ sha256:l1"}
	gone.Names[2] = "quay.io/a/b:3"
	want[3] = "- quay.io/a/b:3"
	want = slices.Insert(want, 4, "- quay.io/a/b@sha256:dd")
	if got := gone.lines("- ", "+ "); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	part := removedImage{ID: "aa", Digest: "sha256:dd", Names: []string{"docker.io/library/x:1"}, Left: []string{"docker.io/library/x:2"}}
	if got := part.lines("- ", "+ "); !slices.Equal(got, []string{"- x:1"}) {
		t.Errorf("one of two names: %q", got)
	}
}

func TestHistory(t *testing.T) {
	layers := fuseoverlay.Layers{"l1": {Size: 10}, "l2": {Parent: "l1", Size: 2000}, "l3": {Parent: "l2", Size: 3}}
	image := &fuseoverlay.Image{ID: strings.Repeat("ab", 32), TopLayer: "l3", Config: []byte(`{"history":[
		{"created":"2026-01-01T00:00:00Z","created_by":"FROM base"},
		{"created_by":"ENV A=B","empty_layer":true,"comment":"c"},
		{"created":"2026-01-03T00:00:00Z","created_by":"RUN make\tit\u001b[2J and install all of it in the place that it is meant for"}]}`)}
	steps, err := historyOf(image, layers)
	if err != nil || len(steps) != 4 {
		t.Fatalf("%+v, %v", steps, err)
	}
	now := time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC)
	c := historyCmd{Human: true}
	var got []string
	for i, s := range steps {
		row := c.row(s, i == 0, image.ID, now)
		got = append(got, strings.Join([]string{row.ID, row.CreatedSince, row.CreatedBy, row.Size, row.Comment}, "|"))
	}
	want := []string{
		`abababababab|24 hours ago|RUN make it\x1b[2J and install all of it in …|3B|`,
		`<missing>|N/A|ENV A=B|0B|c`,
		`<missing>|3 days ago|FROM base|2kB|`,
		`<missing>|N/A||10B|`, // of which no step tells
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	plain := (&historyCmd{NoTrunc: true}).row(steps[0], true, image.ID, now)
	if plain.ID != "sha256:"+image.ID || plain.Size != "3" || !strings.HasSuffix(plain.CreatedBy, "meant for") || !strings.HasPrefix(plain.CreatedSince, "2026-01-0") {
		t.Errorf("for programs: %+v", plain)
	}
	if _, err := historyOf(&fuseoverlay.Image{Config: []byte("x")}, nil); err == nil {
		t.Error("of a configuration that is none")
	}
}
