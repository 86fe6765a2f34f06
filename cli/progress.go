package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"rootlet/pull"
)

// redrawEvery is how often the bars are drawn again at most.
const redrawEvery = 100 * time.Millisecond

// maxLayers bounds what is shown of a manifest; pull has a limit of its own.
const maxLayers = 1024

// progress shows a pull's layers on a terminal, below whatever is there. It has
// no colours, and it never hides the cursor: so there is nothing to be put
// back, even where the process is killed.
type progress struct {
	printer *printer
	screen  *screen
	size    func() (columns, rows int)
	now     func() time.Time

	mu     sync.Mutex
	layers []pull.Event
	speed  speedometer
	push   bool

	ended chan struct{}
	drawn sync.WaitGroup
}

// newProgress starts to show progress where standard error is a terminal that
// can move its cursor, and returns nil, which shows nothing, anywhere else.
func newProgress(a *app, quiet bool) *progress {
	file, ok := a.out.(*os.File)
	if !ok || quiet || a.quiet || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	if name := os.Getenv("TERM"); name == "" || name == "dumb" {
		return nil
	}
	p := &progress{
		printer: a.printer, screen: &screen{out: file}, now: time.Now, ended: make(chan struct{}),
		size: func() (int, int) {
			columns, rows, err := term.GetSize(int(file.Fd()))
			if err != nil || columns < 1 || rows < 1 {
				return 80, 24 // a terminal that does not know, as a serial line
			}
			return columns, rows
		},
	}
	a.printer.clear = func() { columns, _ := p.size(); p.screen.erase(columns) }
	p.drawn.Add(1)
	go p.keepDrawing()
	return p
}

// event takes news of a layer.
func (p *progress) event(text []byte) {
	var e pull.Event
	if p != nil && json.Unmarshal(text, &e) == nil {
		p.show(e)
	}
}

// pushing is a push's news of a layer.
func (p *progress) pushing(e pull.Event) {
	if p != nil {
		p.mu.Lock()
		p.push = true
		p.mu.Unlock()
		p.show(e)
	}
}

func (p *progress) show(e pull.Event) {
	if e.Index < 0 || e.Index >= maxLayers {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.layers) <= e.Index {
		p.layers = append(p.layers, pull.Event{Index: len(p.layers)})
	}
	p.layers[e.Index] = e
}

func (p *progress) keepDrawing() {
	defer p.drawn.Done()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-tick.C:
			p.draw()
		}
	}
}

// picture is what there is to be seen now, on the terminal as large as it is now.
func (p *progress) picture() bars {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := bars{layers: append([]pull.Event(nil), p.layers...), push: p.push}
	b.columns, b.rows = p.size()
	var fetched int64
	for _, l := range p.layers {
		fetched += l.Fetched
	}
	b.speed = p.speed.add(p.now(), fetched)
	return b
}

func (p *progress) draw() {
	b := p.picture()
	if len(b.layers) == 0 {
		return
	}
	p.printer.mu.Lock()
	defer p.printer.mu.Unlock()
	p.screen.show(b.lines(), b.columns)
}

// close takes the bars off the screen.
func (p *progress) close() {
	if p == nil {
		return
	}
	close(p.ended)
	p.drawn.Wait()
	p.printer.mu.Lock()
	defer p.printer.mu.Unlock()
	p.printer.clear()
	p.printer.clear = nil
}

// screen draws lines over those that it drew before. Each time it writes once,
// so that no half of a picture is ever seen.
type screen struct {
	out   io.Writer
	lines []string // on the screen, above the cursor
}

// show draws lines in place of the last ones.
func (s *screen) show(lines []string, columns int) {
	var b strings.Builder
	b.WriteString(s.back(columns))
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\r\n") // EL: the rest of what was there
	}
	b.WriteString("\x1b[J") // ED: the lines that are no more
	s.lines = lines
	_, _ = io.WriteString(s.out, b.String())
}

// erase takes the lines away.
func (s *screen) erase(columns int) {
	if len(s.lines) == 0 {
		return
	}
	_, _ = io.WriteString(s.out, s.back(columns)+"\x1b[J")
	s.lines = nil
}

// back moves the cursor to where the first line begins. A terminal that became
// narrower has wrapped the lines, so that they take more rows now.
func (s *screen) back(columns int) string {
	rows := 0
	for _, line := range s.lines {
		rows += max(1, (utf8.RuneCountInString(line)+columns-1)/max(columns, 1))
	}
	if rows == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", rows) // CUU
}
