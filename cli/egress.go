package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"rootlet/sandbox"
	"rootlet/slirp/egress"
)

// refused prints where a container was kept from connecting to, a line for each
// destination, the latest last.
func (c *logsCmd) refused(a *app, found container) error {
	list, dropped, err := refusals(found.root.Dir(found.id))
	if err != nil {
		return err
	}
	for _, r := range list {
		fmt.Fprintln(a.stdout, printable(refusalLine(r)))
	}
	if dropped > 0 {
		a.notice(fmt.Sprintf("%d refusals of further destinations are not listed", dropped))
	}
	return nil
}

// refusalLine is `2026-01-02T15:04:05Z tcp 10.0.0.1:22 inside.example.org refused 3 times`.
func refusalLine(r egress.Refusal) string {
	line := r.Last.Format(time.RFC3339) + " " + r.Protocol
	switch {
	case r.Address != "" && r.Port != 0:
		line += " " + net.JoinHostPort(r.Address, strconv.Itoa(int(r.Port)))
	case r.Address != "":
		line += " " + r.Address
	}
	if r.Name != "" {
		line += " " + r.Name
	}
	if r.Count == 1 {
		return line + " refused once"
	}
	return fmt.Sprintf("%s refused %d times", line, r.Count)
}

// refusals are what stands in a container's directory; none where nothing is refused.
func refusals(dir string) (list []egress.Refusal, dropped int, err error) {
	f, err := os.Open(filepath.Join(dir, sandbox.RefusedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if list, dropped, err = egress.Read(f); err != nil {
		err = fmt.Errorf("refused connections: %w", err)
	}
	return list, dropped, err
}
