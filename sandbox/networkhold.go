package sandbox

import (
	"rootlet/sandbox/record"
	"rootlet/slirp/bridge"
)

// You come here from run.go and ask.go, in the user's own command: it sees to it that the
// processes of the networks with a name are there, which a monitor joins.

// networkHold keeps networks from ending until a monitor has joined them.
type networkHold struct{ guests []*bridge.Guest }

// holdNetworks begins those that a container is to be in.
func holdNetworks(p Paths, list []record.Attachment) (*networkHold, error) {
	h := &networkHold{}
	for _, a := range list {
		g, err := p.Networks().Hold(a.Network)
		if err != nil {
			h.release()
			return nil, err
		}
		h.guests = append(h.guests, g)
	}
	return h, nil
}

// release lets them end with their members.
func (h *networkHold) release() {
	if h == nil {
		return
	}
	for _, g := range h.guests {
		_ = g.Close()
	}
	h.guests = nil
}

// holdNetworks is for the container that is asked for.
func (c *client) holdNetworks(r Request) (err error) {
	list := r.Spec.Networks
	if r.Start != "" {
		spec, err := record.Root(r.Paths.Data).Spec(r.Start)
		if err != nil {
			return nil // the monitor says what is wrong
		}
		list = spec.Networks
	}
	if r.CreateOnly {
		return nil
	}
	c.hold, err = holdNetworks(r.Paths, list)
	return err
}

// Connect takes a container that is up into a network.
func Connect(p Paths, id string, a record.Attachment) error {
	hold, err := holdNetworks(p, []record.Attachment{a})
	if err != nil {
		return err
	}
	defer hold.release()
	return tell(p, id, ask{Verb: verbConnect, Network: a})
}

// Disconnect takes a container that is up out of a network.
func Disconnect(p Paths, id, network string) error {
	return tell(p, id, ask{Verb: verbDisconnect, Network: record.Attachment{Network: network}})
}
