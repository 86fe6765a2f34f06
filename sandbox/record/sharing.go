package record

import "strings"

// Sharing as a mode of a namespace, with another container's id behind it, is that
// container's: --network container:NAME, and likewise --pid, --ipc and --uts.
const Sharing = "container:"

// Modes of --pid, --ipc and --uts besides Sharing. An empty one is a namespace of the
// container's own.
const (
	Host      = "host"
	Shareable = "shareable" // --ipc: its own, which others may share
	NoShm     = "none"      // --ipc: its own, without /dev/shm and message queues
)

// SharesWith is the id of the container whose namespace a mode stands for; empty where
// it is no other's.
func SharesWith(mode string) string {
	id, sharing := strings.CutPrefix(mode, Sharing)
	if !sharing {
		return ""
	}
	return id
}

// IsForeign reports whether a mode stands for a namespace that is not the container's own:
// the host's, or another container's.
func IsForeign(mode string) bool { return mode == Host || SharesWith(mode) != "" }

// Share is a namespace that a container has from another.
type Share struct {
	What string // as Docker's errors call it: network, PID, IPC, UTS
	With string // the other's id
}

// What of a Share.
const (
	SharesNetwork = "network"
	SharesPID     = "PID"
	SharesIPC     = "IPC"
	SharesUTS     = "UTS"
)

// Shares are all namespaces that the container has from others.
func (s *Spec) Shares() []Share {
	var all []Share
	for _, mode := range []struct{ what, mode string }{
		{SharesNetwork, s.Network}, {SharesPID, s.PID}, {SharesIPC, s.IPC}, {SharesUTS, s.UTS},
	} {
		if id := SharesWith(mode.mode); id != "" {
			all = append(all, Share{mode.what, id})
		}
	}
	return all
}
