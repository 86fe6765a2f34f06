package bridge

import (
	"net/netip"

	"rootlet/internal/stage"
)

// Frames between a client, a monitor and the holder, and between holder and switch.
const (
	kindTask     stage.Kind = iota + 1 // client, as it starts the holder; holder, as it starts the switch: task
	kindJoin                           // monitor: Join; the first frame
	kindLookup                         // switch of another network: lookup; the first frame
	kindRename                         // client: rename; the first frame
	kindAlso                           // monitor: names of the member's other networks
	kindRefusals                       // monitor, holder: brings the file that takes refusals; before kindPlug
	kindPlug                           // monitor: brings a tap; holder to switch: also port
	kindUnplug                         // monitor; holder to switch: the hardware address
	kindNames                          // holder to switch: port, whose names have changed

	kindJoined  // holder: Joined
	kindRefused // holder: text, why not; the last frame
	kindTaken   // holder: the same, where it is an address that another member has
	kindFound   // holder: []netip.Addr
	kindPlugged // switch, holder: the hardware address of a member whose frames are moved now
	kindMended  // holder: text: the switch had died, and another took its place
	kindLost    // holder: text: it had died, and there is none
)

// task is what a holder and its switch are told to do.
type task struct {
	Store   Store   `json:"store"`
	Network Network `json:"network"`
}

// Join is what a container wants of a network.
type Join struct {
	ID        string           `json:"id"` // the container's
	Name      string           `json:"name"`
	Hostname  string           `json:"hostname,omitempty"`
	Aliases   []string         `json:"aliases,omitempty"`
	IP4       netip.Addr       `json:"ip4,omitzero"` // invalid: any
	IP6       netip.Addr       `json:"ip6,omitzero"`
	Hardware  string           `json:"hardware,omitempty"`  // address, as it is written; empty: any
	Resolvers []netip.AddrPort `json:"resolvers,omitempty"` // to ask instead of the host's
	Egress    []string         `json:"egress,omitempty"`    // as egress.Parse reads them; none: everything
	Also      []string         `json:"also,omitempty"`      // the other networks that it is in
}

// Joined is what it got.
type Joined struct {
	Network   string `json:"network"`
	NetworkID string `json:"networkID"`
	// The addresses have the length of their subnets.
	Address4 netip.Prefix `json:"address4"`
	Address6 netip.Prefix `json:"address6,omitzero"`
	Gateway4 netip.Addr   `json:"gateway4"`
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
	MAC      string       `json:"mac"` // as it is written
	MTU      int          `json:"mtu"` // bytes
	Internal bool         `json:"internal,omitempty"`
}

// port is a member as the switch knows it.
type port struct {
	Join
	Joined
}

// lookup asks for the addresses of a name.
type lookup struct{ Name string }

// rename has a member go by another name from now on.
type rename struct{ ID, Name string }
