package publish

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// TCP does without goroutines and net.Conn. A published port's requests are small
// and many: a loop around epoll_wait(2) needs one recv and one send for each way,
// and no parking and waking in between. It also hears of a reset while nobody
// reads, and a thousand idle connections have no stacks and no buffers.

// tcp forwards the connections of all TCP ports of a server.
type tcp struct {
	*server
	ports []*tcpPort

	mu     sync.Mutex
	shards []*shard
	limit  int // of shards
	loops  sync.WaitGroup
}

// tcpPort is one bound port. The descriptor is the file's.
type tcpPort struct {
	bound Bound
	file  *os.File
	fd    int
}

const (
	// shardLoad is how many connections a loop has before another is started: a
	// container with few clients has one thread for them.
	shardLoad = 16
	maxShards = 4
	// acceptPause is how long a port waits when no descriptor is free.
	acceptPause = 100 * time.Millisecond
)

// startTCP begins to accept. Stop ends all connections.
func (s *server) startTCP(ports []*tcpPort) (stop func(), err error) {
	t := &tcp{server: s, ports: ports, limit: min(maxShards, runtime.GOMAXPROCS(0))}
	first, err := t.startShard()
	if err != nil {
		return nil, err
	}
	for i, p := range ports {
		if err := first.watch(p.fd, tag{slot: listenerSlot - int32(i)}, unix.EPOLLIN); err != nil {
			t.stop()
			return nil, fmt.Errorf("watch port %s: %w", p.bound.host(), err)
		}
	}
	return t.stop, nil
}

func (t *tcp) stop() {
	t.mu.Lock()
	shards := t.shards
	t.shards, t.limit = nil, 0
	t.mu.Unlock()
	for _, s := range shards {
		s.end()
	}
	t.loops.Wait()
	for _, s := range shards {
		s.release()
	}
}

// choose gives the shard for a new connection: the least busy one, or a new one.
func (t *tcp) choose() *shard {
	t.mu.Lock()
	shards, room := t.shards, len(t.shards) < t.limit
	t.mu.Unlock()
	var least *shard
	for _, s := range shards {
		if least == nil || s.load() < least.load() {
			least = s
		}
	}
	if room && least != nil && least.load() >= shardLoad {
		if s, err := t.startShard(); err == nil {
			return s
		}
	}
	return least
}

// listenTCP prepares a listener. What is set on it its connections have.
func listenTCP(file *os.File, b Bound) (*tcpPort, error) {
	connection, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &tcpPort{bound: b, file: file}
	controlErr := connection.Control(func(fd uintptr) {
		p.fd = int(fd)
		err = firstOf(unix.SetNonblock(p.fd, true), setTCP(p.fd, unix.TCP_NODELAY, 1),
			unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			// A client who went without a word is found after two minutes.
			setTCP(p.fd, unix.TCP_KEEPIDLE, 60), setTCP(p.fd, unix.TCP_KEEPINTVL, 15), setTCP(p.fd, unix.TCP_KEEPCNT, 4))
	})
	return p, firstOf(controlErr, err)
}

func setTCP(fd, name, value int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, name, value)
}
