package publish

import (
	"context"
	"io"
	"net"
)

// relay passes on what two connections send each other. The end of what one
// sends is passed on too, and the other direction lives on; where one is reset,
// so is the other.
func relay(ctx context.Context, a, b *net.TCPConn) {
	defer a.Close()
	defer b.Close()
	stop := context.AfterFunc(ctx, func() { reset(a); reset(b) })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		transfer(a, b)
	}()
	transfer(b, a)
	<-done
}

// transfer is one direction. net has the kernel move the data (splice(2)).
func transfer(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		reset(from)
		reset(to)
		return
	}
	_ = to.CloseWrite()
}

// reset closes a connection so that its peer learns that something went wrong
// (SO_LINGER with time zero sends RST, socket(7)).
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
