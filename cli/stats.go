package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/term"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/stats"
	"rootlet/slirp"
)

// statsCmd is `rootlet stats`. It reads /proc and /sys/fs/cgroup and nothing else.
type statsCmd struct {
	All        bool     `name:"all" short:"a" help:"Those that do not run, too."`
	NoStream   bool     `name:"no-stream" help:"Once, and not every second."`
	NoTrunc    bool     `name:"no-trunc" help:"Do not shorten."`
	Format     string   `name:"format" placeholder:"FORMAT" help:"table, json, or a Go template."`
	Containers []string `arg:"" optional:"" name:"container" help:"Names or ids; all that run, without any."`
}

const statsColumns = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"

// statsRow is a line of the table; its fields are those of a --format template.
type statsRow struct {
	BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string
}

func statsHeader() statsRow {
	return statsRow{
		BlockIO: "BLOCK I/O", CPUPerc: "CPU %", Container: "CONTAINER", ID: "CONTAINER ID", MemPerc: "MEM %",
		MemUsage: "MEM USAGE / LIMIT", Name: "NAME", NetIO: "NET I/O", PIDs: "PIDS",
	}
}

// statsPeriod is how long what is shown was measured over.
const statsPeriod = time.Second

// meter is one run of the command.
type meter struct {
	*statsCmd
	root   record.Root
	format format
	memory uint64 // of this host
	before map[string]stats.Sample
}

// Run prints the table, again and again until the user ends it.
func (c *statsCmd) Run(a *app) error {
	paths, err := findPaths()
	if err != nil {
		return err
	}
	m := &meter{
		statsCmd: c, root: record.Root(paths.Data), format: format{text: c.Format, columns: statsColumns},
		memory: stats.HostMemory(), before: map[string]stats.Sample{},
	}
	found := a.each(c.Containers, func(given string) error {
		_, err := m.root.Find(given)
		return err
	})
	if found != nil {
		return found
	}
	if _, err := m.rows(); err != nil { // what the first one is measured against
		return err
	}
	screen, isFile := a.stdout.(*os.File)
	clear := isFile && term.IsTerminal(int(screen.Fd())) && !c.NoStream
	a.catchSignals()
	tick := time.NewTicker(statsPeriod)
	defer tick.Stop()
	for {
		select {
		case s := <-a.signals:
			if sandbox.EndsWork(s) {
				return nil
			}
			continue
		case <-tick.C:
		}
		if err := m.print(a.stdout, clear); err != nil || c.NoStream {
			return err
		}
	}
}

// print shows how things are. On a terminal it takes the place of what was there,
// line by line so that nothing flickers.
func (m *meter) print(out io.Writer, clear bool) error {
	rows, err := m.rows()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := m.format.list(&text, statsHeader(), rows); err != nil {
		return err
	}
	if clear {
		const home, restOfLine, restOfScreen = "\x1b[H", "\x1b[K", "\x1b[J"
		lines := bytes.ReplaceAll(text.Bytes(), []byte("\n"), []byte(restOfLine+"\n"))
		_, err = fmt.Fprint(out, home, string(lines), restOfScreen)
		return err
	}
	_, err = text.WriteTo(out)
	return err
}

// rows measures each container that is to be shown.
func (m *meter) rows() ([]any, error) {
	entries, err := m.entries()
	if err != nil {
		return nil, err
	}
	rows := make([]any, 0, len(entries))
	for _, e := range entries {
		rows = append(rows, m.row(e))
	}
	return rows, nil
}

// watched is a container, and what the user calls it.
type watched struct {
	record.Entry
	given string
}

// entries are the containers that the user named, those that still are there, or
// else all that run by now.
func (m *meter) entries() ([]watched, error) {
	var list []watched
	for _, given := range m.Containers {
		id, err := m.root.Find(given)
		var missing *record.NotFoundError
		if errors.As(err, &missing) {
			continue // it has been removed
		}
		if err != nil {
			return nil, err
		}
		spec, err := m.root.Spec(id)
		if err != nil {
			return nil, err
		}
		state, err := m.root.Live(id)
		if err != nil {
			return nil, err
		}
		list = append(list, watched{record.Entry{ID: id, Spec: spec, State: state}, given})
	}
	if len(m.Containers) > 0 {
		return list, nil
	}
	all, err := m.root.List()
	for _, e := range all {
		if e.Err == nil && (m.All || e.State.Status.Up()) {
			list = append(list, watched{e, e.ID})
		}
	}
	return list, err
}

func (m *meter) row(e watched) statsRow {
	now := stats.Sample{At: time.Now()}
	limit := uint64(0)
	if pids, err := sandbox.Processes(e.State); err == nil && e.State.Status.Up() {
		limit = m.memory
		now = stats.Take(stats.Container{
			PIDs: pids, InitPID: e.State.PID, Cgroup: e.State.Cgroup, Cgroups: e.State.Cgroups, OwnNetwork: e.Network() != slirp.Host,
		}, now.At)
		if now.Limit > 0 {
			limit = min(limit, now.Limit)
		}
	}
	before, known := m.before[e.ID]
	if !known {
		before = now
	}
	m.before[e.ID] = now
	row := statsRow{
		Container: e.given, ID: shortID(e.ID, m.NoTrunc), Name: e.Spec.Name, PIDs: strconv.Itoa(now.PIDs),
		CPUPerc:  fmt.Sprintf("%.2f%%", stats.CPUPercent(before, now)),
		MemUsage: units.BytesSize(float64(now.Memory)) + " / " + units.BytesSize(float64(limit)), MemPerc: "0.00%",
		NetIO:   pair(now.NetIn, now.NetOut),
		BlockIO: pair(now.Read, now.Written),
	}
	if limit > 0 {
		row.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(now.Memory)/float64(limit))
	}
	return row
}

// pair is two amounts, in decimal units as Docker's.
func pair(in, out uint64) string {
	return units.HumanSizeWithPrecision(float64(in), 3) + " / " + units.HumanSizeWithPrecision(float64(out), 3)
}
