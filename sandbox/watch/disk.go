package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

// Disk says when to measure what a container has written. To measure is to walk through
// all its files, so that is done when the file system has less room than before, or is
// otherwise not as it was; to ask for that is one system call.
type Disk struct {
	Limit int64         `json:"limit"` // bytes
	Used  int64         `json:"used"`  // when it was measured last
	Room  Room          `json:"room"`  // at that time
	At    time.Duration `json:"at"`    // when that was, by a clock that nobody sets
	Took  time.Duration `json:"took"`

	pace
}

// Room is what a file system has left.
type Room struct {
	Bytes int64  `json:"bytes"`
	Files uint64 `json:"files"`
}

// RoomIn asks the file system of a directory.
func RoomIn(dir string) (Room, error) {
	var st unix.Statfs_t
	for {
		if err := unix.Statfs(dir, &st); err != unix.EINTR {
			return Room{Bytes: int64(st.Bfree) * st.Bsize, Files: st.Ffree}, err
		}
	}
}

const (
	// diskRate is more than a container writes in a second, in bytes.
	diskRate = 4 << 30
	// Measuring takes at most a tenth of a processor where others fill the disk, too,
	// and one part in 200 where they merely change it.
	dearest, cheapest = 10, 200
	soonest, latest   = 20 * time.Millisecond, 10 * time.Second

	idle = 5 * time.Minute
)

// Left is how much more the container may write.
func (d *Disk) Left() int64 { return max(d.Limit-d.Used, 0) }

// Due reports whether to measure, at a time when the file system has this room.
func (d *Disk) Due(now time.Duration, room Room) bool {
	since := now - d.At
	switch {
	case d.At == 0:
		return true
	case d.Room.Bytes-room.Bytes > d.Left()/2:
		return since >= dearest*d.Took
	// Others may have made the room that the container took.
	case room != d.Room:
		return since >= max(cheapest*d.Took, latest)
	}
	return since >= max(cheapest*d.Took, idle)
}

// Measured notes what a measurement has found that began at a time.
func (d *Disk) Measured(began, took time.Duration, room Room, used int64) {
	if used-d.Used > d.Limit/moveShare {
		d.moved = began + took
	}
	d.At, d.Took, d.Room, d.Used = began, took, room, used
}

// Wait is how long until the next look at the room.
func (d *Disk) Wait(now time.Duration) time.Duration {
	return d.wait(now, time.Duration(float64(d.Left())/diskRate*float64(time.Second)), soonest, latest)
}
