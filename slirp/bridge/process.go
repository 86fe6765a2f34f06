package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"rootlet/internal/stage"
)

// switchProcess is the process that moves the frames, as the holder has it. A nil one
// does nothing: there is none.
type switchProcess struct {
	process *os.Process
	conn    *stage.Conn
	born    time.Time
	fate    chan error
}

// startSwitch starts one, without members. plugged is called from a goroutine of its own for
// each that it has taken in.
func startSwitch(t task, plugged func(mac string)) (*switchProcess, error) {
	conn, theirs, err := stage.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	said, says, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer says.Close()
	process, err := spawn(stage.Switch, says, theirs)
	if err == nil {
		if err = conn.SendJSON(kindTask, t); err != nil {
			err = fmt.Errorf("start %s: %w", stage.Switch, err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(), said.Close())
	}
	s := &switchProcess{process: process, conn: conn, born: time.Now(), fate: make(chan error, 1)}
	go s.watch(said)
	go func() {
		for {
			kind, mac, err := conn.Recv()
			if err != nil {
				return
			}
			if kind == kindPlugged {
				plugged(string(mac))
			}
		}
	}()
	return s, nil
}

// saidMax bounds what is kept of a switch's last words, in bytes: a panic's first lines
// say what it was, and further ones where.
const saidMax = 2 << 10

func (s *switchProcess) watch(said *os.File) {
	words, _ := io.ReadAll(io.LimitReader(said, saidMax))
	_, _ = io.Copy(io.Discard, said)
	_ = said.Close()
	state, err := s.process.Wait()
	if err == nil {
		err = errors.New(state.String())
	}
	if text := strings.TrimSpace(string(words)); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	s.fate <- fmt.Errorf("%s: %w", stage.Switch, err)
}

// ended delivers how it died; nothing, ever, of one that is not there.
func (s *switchProcess) ended() <-chan error {
	if s == nil {
		return nil
	}
	return s.fate
}

// plug hands a member's tap over. What cannot be said to a switch that is dying, the
// next one is told.
func (s *switchProcess) plug(m *member) {
	if s == nil {
		return
	}
	if m.refused != nil {
		_ = s.conn.SendFile(kindRefusals, nil, m.refused)
	}
	if text, err := json.Marshal(m.port); err == nil {
		_ = s.conn.SendFile(kindPlug, text, m.tap)
	}
}

func (s *switchProcess) unplug(mac string) {
	if s != nil {
		_ = s.conn.Send(kindUnplug, []byte(mac))
	}
}

func (s *switchProcess) rename(p port) {
	if s != nil {
		_ = s.conn.SendJSON(kindNames, p)
	}
}

// stop ends it.
func (s *switchProcess) stop() {
	if s != nil {
		_ = s.conn.Close()
		_ = s.process.Kill()
	}
}
