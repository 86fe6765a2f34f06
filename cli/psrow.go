package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
)

// psRow is a line of the table; its fields are those of a --format template.
type psRow struct {
	Command, CreatedAt, HealthStatus, ID, Image, Labels, Level, LocalVolumes, Mounts string
	Names, Networks, Platform, Ports, RunningFor, Size, State, Status                string

	labels map[string]string // nil in the header
}

// psHeader holds the titles, in the order of psRow.
func psHeader() psRow {
	return psRow{
		Command: "COMMAND", CreatedAt: "CREATED AT", HealthStatus: "HEALTH STATUS", ID: "CONTAINER ID", Image: "IMAGE", Labels: "LABELS", Level: "LEVEL",
		LocalVolumes: "LOCAL VOLUMES", Mounts: "MOUNTS", Names: "NAMES", Networks: "NETWORKS", Platform: "PLATFORM",
		Ports: "PORTS", RunningFor: "CREATED", Size: "SIZE", State: "STATE", Status: "STATUS",
	}
}

// Label is one label's value, for templates.
func (r psRow) Label(name string) string { return labelOf(r.labels, name) }

// psRows makes rows of records.
type psRows struct {
	now     time.Time
	whole   bool // nothing is shortened
	shown   func(string) string
	images  []fuseoverlay.Image
	written map[string]int64 // by id; nil: not asked for
}

func (r psRows) row(e record.Entry) psRow {
	s := e.Spec
	row := psRow{
		Command: r.command(s), HealthStatus: health(e.State), ID: shortID(e.ID, r.whole),
		Image: r.shown(r.image(s)), Labels: r.shown(labelList(s.Labels)), Level: level(e.State), Names: r.shown(s.Name),
		Networks: strings.Join(e.Networks(), ","), Platform: r.shown(s.Platform), Ports: r.shown(ports(e)), Size: r.size(e),
		State: string(e.State.Status), Status: status(e.State, r.now), labels: s.Labels,
	}
	if !s.Created.IsZero() {
		row.CreatedAt = s.Created.Local().Format("2006-01-02 15:04:05 -0700 MST")
		row.RunningFor = ago(s.Created, r.now)
	}
	if row.labels == nil {
		row.labels = map[string]string{}
	}
	var mounts []string
	volumes := 0
	for _, m := range s.Mounts {
		if m.Type == record.Tmpfs {
			continue
		}
		if m.Type == record.Volume {
			volumes++
		}
		mounts = append(mounts, shortMount(m.Source, r.whole))
	}
	row.Mounts, row.LocalVolumes = r.shown(strings.Join(mounts, ",")), strconv.Itoa(volumes)
	return row
}

// level is what a container that is up does without, or full.
func level(s record.State) string {
	if !shownAlways(s.Status) {
		return ""
	}
	return record.LevelName(s.Level)
}

// image is the image as the user named it, or its id where that name means
// another by now, or none.
func (r psRows) image(s record.Spec) string {
	if s.Image == "" {
		return "<no image>"
	}
	named, digest, digested := strings.Cut(s.Image, "@")
	if digested && r.whole {
		named += "@" + digest
	}
	if r.images == nil || strings.HasPrefix(s.ImageID, strings.TrimPrefix(s.Image, "sha256:")) {
		return named
	}
	for _, i := range r.images {
		if i.ID != s.ImageID {
			continue
		}
		if name, err := imageName(s.Image); digested || err == nil && slices.Contains(i.Names, name) {
			return named
		}
	}
	return shortID(s.ImageID, r.whole)
}

// size is what the container has written and, with its image, what it sees.
func (r psRows) size(e record.Entry) string {
	size := units.HumanSizeWithPrecision(float64(r.written[e.ID]), 3)
	if r.written == nil {
		return size
	}
	for _, i := range r.images {
		if i.ID == e.Spec.ImageID {
			return fmt.Sprintf("%s (virtual %s)", size, units.HumanSizeWithPrecision(float64(r.written[e.ID]+i.Size), 3))
		}
	}
	return size
}

// shortMount is a volume's name or a path, 15 characters long at most.
func shortMount(source string, whole bool) string {
	if runes := []rune(source); len(runes) > 15 && !whole {
		return string(runes[:14]) + "…"
	}
	return source
}

func labelList(labels map[string]string) string {
	var list []string
	for k, v := range labels {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

// command is the program and its arguments, those with a space in single quotes,
// as Docker's daemon puts them; 20 characters long at most, and quoted.
func (r psRows) command(s record.Spec) string {
	words := slices.Clone(s.Process.Args())
	for i, word := range words {
		if i > 0 && strings.Contains(word, " ") {
			words[i] = "'" + word + "'"
		}
	}
	text := strings.Join(words, " ")
	if runes := []rune(text); len(runes) > 20 && !r.whole {
		text = string(runes[:19]) + "…"
	}
	return strconv.Quote(text)
}
