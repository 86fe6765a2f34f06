package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPort forwards connections of one bound port.
type tcpPort struct {
	*server
	bound    Bound
	listener *net.TCPListener
}

func (p *tcpPort) close() { _ = p.listener.Close() }

// acceptPause is how long a port waits when no descriptor is free.
const acceptPause = 100 * time.Millisecond

func (p *tcpPort) forward(ctx context.Context) {
	for {
		client, err := p.listener.AcceptTCP()
		switch {
		case err == nil:
			p.work.Go(func() { p.connect(ctx, client) })
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			// EMFILE, ENFILE, ENOMEM: connections end, and then it goes on.
			p.reported.once("accept", fmt.Errorf("port %s/%s waits: %w", p.bound.host(), TCP, err))
			pause(ctx, acceptPause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// connect leads one client to the container, until both are done. A client whom
// the container does not want is reset, as it would be without us.
func (p *tcpPort) connect(ctx context.Context, client *net.TCPConn) {
	program, err := p.dialTCP(ctx, client.RemoteAddr().(*net.TCPAddr).AddrPort())
	if err != nil {
		reset(client)
		return
	}
	relay(ctx, client, program)
}

// connectWait bounds the connecting: the peer is this kernel, which is slow only
// where the program's backlog is full.
const connectWait = 30 * time.Second

func (p *tcpPort) dialTCP(ctx context.Context, client netip.AddrPort) (*net.TCPConn, error) {
	fd, err := p.dial(client, p.bound)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "container "+p.bound.Port().String())
	defer file.Close()
	if err := awaitConnected(ctx, file); err != nil {
		return nil, err
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// awaitConnected waits for connect(2) to end, which left with EINPROGRESS.
func awaitConnected(ctx context.Context, file *os.File) error {
	_ = file.SetWriteDeadline(time.Now().Add(connectWait))
	defer context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })()
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = connection.Write(func(fd uintptr) bool {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || code != 0 {
			failure = firstOf(err, unix.Errno(code))
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil
	})
	return firstOf(err, failure)
}
