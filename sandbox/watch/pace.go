package watch

import "time"

// Where nothing moves, a look is made no sooner than this, and takes no more than so small
// a part of the time; where something does, it may be made as soon and take as much.
const (
	quietSoonest = 100 * time.Millisecond
	quietShare   = 400
	busyShare    = 20

	// settles is for how long something moves that has moved.
	settles = time.Second

	// moveShare is which part of a limit makes a difference.
	moveShare = 256
)

// pace is when to look again.
type pace struct {
	moved time.Duration // when something has last
	cost  time.Duration // of a look
}

// wait is how long the next look may wait that should come within d, soonest at the
// earliest.
func (p *pace) wait(now, d, soonest, latest time.Duration) time.Duration {
	if !p.moves(now) {
		soonest = quietSoonest
	}
	return min(max(d, soonest, p.cost*p.share(now)), latest)
}

// share is which part of the time looks may take: one in so many.
func (p *pace) share(now time.Duration) time.Duration {
	if p.moves(now) {
		return busyShare
	}
	return quietShare
}

func (p *pace) moves(now time.Duration) bool { return p.moved > 0 && now-p.moved < settles }
