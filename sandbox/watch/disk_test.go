package watch

import (
	"testing"
	"time"
)

// TestWhenToMeasure has a disk of one mebibyte that others write to as well.
func TestWhenToMeasure(t *testing.T) {
	const size = 1 << 20
	d := Disk{Limit: size}
	room := Room{Bytes: 100 * size, Files: 1000}
	if !d.Due(time.Second, room) {
		t.Fatal("it was never measured")
	}
	d.Measured(time.Second, 10*time.Millisecond, room, size/2)
	for _, test := range []struct {
		what string
		at   time.Duration
		room Room
		want bool
	}{
		{"nothing has changed", time.Minute, room, false},
		{"nothing, for long", 10 * time.Minute, room, true},
		{"half of what is left may be gone", 2 * time.Second, Room{room.Bytes - size/3, 999}, true},
		{"the same, and measuring takes long", time.Second + 50*time.Millisecond, Room{room.Bytes - size/3, 999}, false},
		{"a little is gone", 2 * time.Second, Room{room.Bytes - size/8, 999}, false},
		{"others make room", 2 * time.Second, Room{room.Bytes + size, 1000}, false},
		{"others have made room", 12 * time.Second, Room{room.Bytes + size, 1000}, true},
		{"as many bytes in another number of files", 12 * time.Second, Room{room.Bytes, 1001}, true},
	} {
		if got := d.Due(test.at, test.room); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

// TestHowSoon has the next look the sooner the less is left, and rare where nothing moves.
func TestHowSoon(t *testing.T) {
	var d Disk
	for _, test := range []struct {
		left       int64
		moves      bool
		from, upTo time.Duration
	}{
		{8 << 30, true, 2 * time.Second, 2 * time.Second},
		{1 << 40, true, latest, latest},
		{1 << 20, true, soonest, soonest},
		{1 << 20, false, quietSoonest, quietSoonest},
		{0, true, soonest, soonest},
	} {
		d.Limit, d.Used, d.moved = test.left, 0, 0
		if test.moves {
			d.moved = time.Second
		}
		if got := d.Wait(time.Second + settles/2); got < test.from || got > test.upTo {
			t.Errorf("%d left, moves %v: %v", test.left, test.moves, got)
		}
	}
}
