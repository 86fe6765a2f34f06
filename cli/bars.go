package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"

	"rootlet/pull"
)

// bars is a picture of a pull: what is known of it, and of the terminal. Its
// lines follow from that alone.
type bars struct {
	layers  []pull.Event // lowest first
	columns int
	rows    int
	speed   float64 // bytes a second
	push    bool    // layers go, and do not come
}

// Widths of the columns. The bar takes what is left, between least and most.
const (
	digestWidth = 12
	stateWidth  = 9
	sizeWidth   = 17 // "999.9MB / 999.9MB"
	leastBar    = 10
	mostBar     = 50
)

// lines draws one line a layer, as far as the terminal has rows, then the total.
// No line is as wide as the terminal, where some would wrap it.
func (b bars) lines() []string {
	shown, hidden := b.choose()
	var lines []string
	for _, l := range shown {
		lines = append(lines, b.fit(b.layer(l)))
	}
	if hidden > 0 && len(shown) > 0 {
		lines = append(lines, b.fit(fmt.Sprintf("and %d more", hidden)))
	}
	return append(lines, b.fit(b.total()))
}

// choose picks the layers to be shown where there are not rows for all: those
// that are being fetched first, those that are done last.
func (b bars) choose() (shown []pull.Event, hidden int) {
	space := max(b.rows-2, 1) // the total, and the cursor below it
	if len(b.layers) <= space {
		return b.layers, 0
	}
	space-- // how many more
	picked := make([]bool, len(b.layers))
	left := space
	for _, rank := range []pull.State{pull.Fetching, pull.Unpacking, pull.Compressing, pull.Waiting, pull.Done, pull.Exists} {
		for i, l := range b.layers {
			if left > 0 && l.State == rank {
				picked[i] = true
				left--
			}
		}
	}
	for i, l := range b.layers {
		if picked[i] {
			shown = append(shown, l)
		}
	}
	return shown, len(b.layers) - len(shown)
}

// layer draws one line: the digest's beginning, a word, a bar and the bytes. A
// narrow terminal costs the bar first.
func (b bars) layer(l pull.Event) string {
	_, digest, _ := strings.Cut(l.Layer, ":")
	line := fmt.Sprintf("%-*.*s  %-*s", digestWidth, digestWidth, printable(digest), stateWidth, b.stateWord(l.State))
	if l.State != pull.Fetching && l.State != pull.Unpacking && l.State != pull.Compressing {
		return strings.TrimRight(line, " ")
	}
	size := fmt.Sprintf("%*s", sizeWidth, bytesOf(l.Fetched, l.Size))
	if width := min(b.columns-1-len(line)-len(size)-4, mostBar); width >= leastBar {
		line += "  " + bar(l.Fetched, l.Size, width)
	}
	return line + "  " + size
}

func (b bars) stateWord(s pull.State) string {
	switch s {
	case pull.Compressing:
		return "compress"
	case pull.Fetching:
		if b.push {
			return "pushing"
		}
		return "fetching"
	case pull.Unpacking:
		return "unpacking"
	case pull.Done:
		return "done"
	case pull.Exists:
		return "exists"
	}
	return "waiting"
}

// bar draws [====>    ], width characters long.
func bar(done, all int64, width int) string {
	inside := width - 2
	full := 0
	if all > 0 {
		full = int(float64(inside) * float64(min(done, all)) / float64(all))
	}
	drawn := strings.Repeat("=", full)
	if full < inside {
		drawn += ">"
	}
	return fmt.Sprintf("[%-*s]", inside, drawn)
}

// total sums up what is fetched; layers that were there are none of its bytes.
func (b bars) total() string {
	var here int
	var fetched, size int64
	for _, l := range b.layers {
		if l.State >= pull.Unpacking && l.State != pull.Compressing {
			here++
		}
		if l.State != pull.Exists {
			fetched += l.Fetched
			size += l.Size
		}
	}
	text := fmt.Sprintf("%d/%d layers", here, len(b.layers))
	if size > 0 {
		text += "  " + bytesOf(fetched, size)
	}
	if b.speed > 0 {
		text += "  " + humanBytes(int64(b.speed)) + "/s"
	}
	return text
}

func bytesOf(done, all int64) string {
	if all <= 0 {
		return humanBytes(done)
	}
	return humanBytes(done) + " / " + humanBytes(all)
}

func humanBytes(n int64) string { return units.HumanSizeWithPrecision(float64(n), 4) }

// fit cuts a line to the terminal's width, less one.
func (b bars) fit(line string) string {
	if width := max(b.columns-1, 1); utf8.RuneCountInString(line) > width {
		return string([]rune(line)[:width])
	}
	return line
}

// speedWindow is how far back the speed looks: long enough to be calm, short
// enough to show a stall.
const speedWindow = 3 * time.Second

// speedometer measures bytes a second over the last few seconds.
type speedometer struct {
	marks []mark // oldest first
}

type mark struct {
	at    time.Time
	bytes int64
}

// add notes how many bytes there are by now, and returns the speed.
func (s *speedometer) add(now time.Time, bytes int64) float64 {
	s.marks = append(s.marks, mark{now, bytes})
	for len(s.marks) > 2 && now.Sub(s.marks[1].at) >= speedWindow {
		s.marks = s.marks[1:]
	}
	first := s.marks[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(bytes-first.bytes) / took
}
