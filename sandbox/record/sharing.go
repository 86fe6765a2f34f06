package record

import "strings"

// Sharing as a network, with another container's id behind it, is that container's
// network: --network container:NAME.
const Sharing = "container:"

// SharesWith is the id of the container whose network a network is; empty where it is
// no other's.
func SharesWith(network string) string {
	id, sharing := strings.CutPrefix(network, Sharing)
	if !sharing {
		return ""
	}
	return id
}
