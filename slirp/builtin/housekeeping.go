package builtin

import (
	"runtime"
	"runtime/debug"
	"time"

	"rootlet/internal/linux"
)

// houseTime is how often the house is kept.
const houseTime = 10 * time.Second

// keepHouse closes flows that are over, and gives memory back, until the end.
func (s *server) keepHouse() {
	ticker := time.NewTicker(houseTime)
	defer ticker.Stop()
	var rest rest
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.flows.expire()
			if rest.begins(s.link.frames.Load()) {
				// The first collection only ages what sync.Pool holds.
				runtime.GC()
				debug.FreeOSMemory()
				linux.LetGoOfText()
			}
		}
	}
}

// A rest begins when a busy time is over. What was needed then, tens of MiB, would
// stay with the process until the collector comes by, minutes later, and the
// scavenger after it; and 8 MiB of the binary for good.
type rest struct {
	last  uint64
	stale uint64 // frames since memory was given back
}

// busyFrames is more than an idle container's chatter in houseTime.
const busyFrames = 500

// begins is told the number of frames so far, once every houseTime.
func (r *rest) begins(frames uint64) bool {
	moved := frames - r.last
	r.last = frames
	r.stale += moved
	if moved > busyFrames || r.stale <= busyFrames {
		return false
	}
	r.stale = 0
	return true
}
