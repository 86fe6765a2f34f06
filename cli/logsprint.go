package cli

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
)

// linePrinter prints a log's records, those of each stream to the same one of
// ours. Many at once: a log may be large. What was on one stream is out before
// the next record goes to the other, so that a terminal shows them in order.
type linePrinter struct {
	streams map[logfile.Stream]*bufio.Writer
	last    *bufio.Writer
	open    map[logfile.Stream]bool // the record before has ended no line
	times   bool
	details string
}

func newLinePrinter(a *app) *linePrinter {
	return &linePrinter{
		streams: map[logfile.Stream]*bufio.Writer{
			logfile.Stdout: bufio.NewWriterSize(a.stdout, 64<<10),
			logfile.Stderr: bufio.NewWriterSize(a.out, 64<<10),
		},
		open: map[logfile.Stream]bool{},
	}
}

// nanoseconds is RFC 3339 with nine digits always, as Docker pads it.
const nanoseconds = "2006-01-02T15:04:05.000000000Z07:00"

func (p *linePrinter) print(l logfile.Line) error {
	out := p.streams[l.Stream]
	if out != p.last {
		if err := p.flush(); err != nil {
			return err
		}
		p.last = out
	}
	if !p.open[l.Stream] {
		if p.times {
			_, _ = out.Write(append(l.Time.AppendFormat(out.AvailableBuffer(), nanoseconds), ' '))
		}
		if p.details != "" {
			_, _ = out.WriteString(p.details + " ")
		}
	}
	p.open[l.Stream] = !strings.HasSuffix(l.Log, "\n")
	_, err := out.WriteString(l.Log) // and with it, any error before
	return err
}

func (p *linePrinter) flush() error {
	if p.last == nil {
		return nil
	}
	return p.last.Flush()
}

// logDetails is what --details puts before each line: the labels and variables
// that the container's --log-opt labels and env name, as in a URL's query.
func logDetails(s *record.Spec) (string, error) {
	env := map[string]string{}
	for _, entry := range s.Process.Env {
		key, value, _ := strings.Cut(entry, "=")
		env[key] = value
	}
	var list []string
	for option, from := range map[string]map[string]string{"labels": s.Labels, "env": env} {
		wanted, err := namesIn(s.Log.Options, option)
		if err != nil {
			return "", err
		}
		for key, value := range from {
			if wanted(key) {
				list = append(list, url.QueryEscape(key)+"="+url.QueryEscape(value))
			}
		}
	}
	if tag := s.Log.Options["tag"]; tag != "" {
		var b strings.Builder
		t, err := parseTemplate(tag)
		if err != nil {
			return "", err
		}
		about := struct{ ID, FullID, Name, ImageName, ImageID, ImageFullID string }{
			shortID(s.ID, false), s.ID, s.Name, s.Image, shortID(s.ImageID, false), s.ImageID,
		}
		if err := t.Execute(&b, about); err != nil {
			return "", fmt.Errorf("--log-opt tag: %w", err)
		}
		list = append(list, "tag="+url.QueryEscape(b.String()))
	}
	slices.Sort(list)
	return strings.Join(list, ","), nil
}

// namesIn understands a list of names, as --log-opt env=A,B, and a regular
// expression beside it, as env-regex.
func namesIn(options map[string]string, option string) (func(string) bool, error) {
	names := strings.Split(options[option], ",")
	text := options[option+"-regex"]
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("--log-opt %s-regex: %w", option, err)
	}
	return func(name string) bool {
		return slices.Contains(names, name) || text != "" && expression.MatchString(name)
	}, nil
}

// whileRead is a context that ends when nobody reads out any more, as after
// `| head`: who waits for something to write would not hear of it. What out is
// other than a pipe or a socket always has a reader.
func whileRead(out *os.File) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	info, err := out.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return ctx, cancel
	}
	go func() {
		// Asked for nothing, poll(2) answers when the other end is closed.
		fds := []unix.PollFd{{Fd: int32(out.Fd())}}
		for {
			if _, err := unix.Poll(fds, -1); err != unix.EINTR {
				break
			}
		}
		cancel()
	}()
	return ctx, cancel
}
