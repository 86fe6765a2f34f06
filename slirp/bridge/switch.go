package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"rootlet/internal/landlock"
	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
)

// You come here from process.go, in the holder, which started this stage.

// Switch is the stage. It returns the process's exit status; what it says goes to the
// holder, which has the other end of its output.
func Switch() int {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serve() error {
	conn, err := stage.Inherited()
	if err != nil {
		return err
	}
	var t task
	if err := conn.RecvJSON(kindTask, &t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if err := landlock.Restrict(t.needs()); err != nil {
		return err
	}
	builtin.Tune()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	directory := newNames(t.Store.Lookup)
	n := t.Network
	w, err := builtin.NewSwitch(ctx, builtin.SwitchOptions{
		MTU: n.MTU(), Net4: n.Subnet4, Gateway4: n.Gateway4, Net6: n.Subnet6, Gateway6: n.Gateway6,
		Internal: n.Internal, Directory: directory,
	})
	if err != nil {
		return err
	}
	time.AfterFunc(settled, linux.LetGoOfText)
	told := make(chan error, 1)
	go func() {
		told <- follow(conn, w, directory)
		cancel()
	}()
	return errors.Join(w.Run(), <-told)
}

// needs are what the process goes on reading: where names are looked up, be it with
// another network's holder, and its own maps.
func (t task) needs() landlock.Needs {
	read := []string{"/etc", "/proc", t.Store.root(), t.Store.Runtime}
	return landlock.Needs{
		Read:    append(read, landlock.Behind("/etc/resolv.conf", "/etc/hosts")...),
		Sockets: true, Connect: true, Bind: true,
	}
}

// follow does what the holder says until it is gone.
func follow(conn *stage.Conn, w *builtin.Switch, directory *names) error {
	var refused *os.File
	policies := map[string]*egress.Policy{} // by hardware address
	for {
		kind, payload, passed, err := conn.RecvFile()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case kind == kindRefusals:
			refused = passed
		case kind == kindUnplug:
			mac := string(payload)
			directory.remove(mac)
			w.Unplug(hardware(mac))
			if p := policies[mac]; p != nil {
				p.Close()
				delete(policies, mac)
			}
		case kind == kindNames || kind == kindPlug && passed != nil:
			var p port
			if err := json.Unmarshal(payload, &p); err != nil {
				return err
			}
			directory.put(p)
			if kind == kindNames {
				continue
			}
			m := builtin.Member{MAC: hardware(p.MAC), IP4: p.Address4.Addr(), IP6: p.Address6.Addr(), Resolvers: p.Resolvers}
			var err error
			if len(p.Egress) > 0 {
				if policies[p.MAC], err = p.policy(refused); err == nil {
					m.Policy = policy{policies[p.MAC]}
				}
			}
			if err == nil {
				err = w.Plug(m, passed)
			}
			if err != nil {
				return fmt.Errorf("take %s in: %w", p.Name, err)
			}
			refused = nil
			if err := conn.Send(kindPlugged, []byte(p.MAC)); err != nil {
				return err
			}
		}
	}
}

// hardware is an address as it is on the wire.
func hardware(mac string) string {
	b, _ := net.ParseMAC(mac) // the holder has read it
	return string(b)
}

// policy decides about what leaves the network.
func (p port) policy(refused *os.File) (*egress.Policy, error) {
	rules, err := egress.Parse(p.Egress)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	if refused == nil {
		return egress.New(rules, nil), nil
	}
	return egress.New(rules, refused), nil
}

// policy shows the switch an egress.Policy; neither package knows the other.
type policy struct{ *egress.Policy }

func (p policy) Connect(c builtin.Connect) bool { return p.Policy.Connect(string(c.Protocol), c.To) }

// noAsker is who asks from another network.
var noAsker netip.Addr
