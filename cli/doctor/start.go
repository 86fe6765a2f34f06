package doctor

import (
	"fmt"
	"time"

	"rootlet/internal/need"
)

// Start is what came of `rootlet run --rm hello`.
type Start struct {
	Err          string        // its error; empty: it ran
	First, InAll time.Duration // until its program began, and until rootlet was back
}

// timeToStart says whether a container runs, and how fast.
func (h Host) timeToStart() Need {
	n := Need{Name: need.TimeToStart, Status: OK}
	if !h.Works() {
		n.Status, n.Now, n.Better, n.Why = Missing, "no container can run", "`rootlet run --rm hello` succeeds", h.Start.Err
		return n
	}
	n.Now = fmt.Sprintf("%s to a container's program, %s with its end", milliseconds(h.Start.First), milliseconds(h.Start.InAll))
	return n
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
