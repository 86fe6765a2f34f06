package pull

import (
	"context"
	"io"
)

const (
	chunkSize  = 256 << 10
	chunksDeep = 4 // in a pipe; a layer holds at most 2*(chunksDeep+2) chunks, 3 MiB
)

// pipe carries bytes between two goroutines in large chunks, so that network,
// decompression and unpacking of one layer overlap. io.Pipe has no room in it:
// each side would wait for the other.
type pipe struct {
	ctx    context.Context // ends both sides
	chunks chan chunk
	pool   pool
}

// chunk is a buffer and how much of it counts, or how the bytes ended.
type chunk struct {
	buf *[]byte
	n   int
	err error // io.EOF or a failure, in the last chunk only
}

// pool keeps the buffers that all layers of one pull share. Unlike sync.Pool
// it never lets go of them, so that a pull's memory does not depend on when
// the collector runs.
type pool chan *[]byte

func newPool(layers int) pool { return make(pool, layers*2*(chunksDeep+2)) }

func (p pool) get() *[]byte {
	select {
	case b := <-p:
		return b
	default:
		b := make([]byte, chunkSize)
		return &b
	}
}

func (p pool) put(b *[]byte) {
	select {
	case p <- b:
	default: // full: b came from a layer that is over
	}
}

func newPipe(ctx context.Context, buffers pool) *pipe {
	return &pipe{ctx, make(chan chunk, chunksDeep), buffers}
}

// fill moves r into the pipe until its end, a failure, or the end of the
// pipe's context. atEnd makes the other side's error of how r ended.
func (p *pipe) fill(r io.Reader, atEnd func(error) error) {
	for {
		c := chunk{buf: p.pool.get()}
		for c.n < chunkSize && c.err == nil {
			var n int
			n, c.err = r.Read((*c.buf)[c.n:])
			c.n += n
		}
		if c.err != nil {
			c.err = atEnd(c.err)
		}
		select {
		case p.chunks <- c:
		case <-p.ctx.Done():
			return
		}
		if c.err != nil {
			return
		}
	}
}

// reader is the pipe's other end; see is shown every chunk before it is read.
type reader struct {
	from *pipe
	see  func([]byte)
	now  chunk
	at   int
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for r.at == r.now.n {
		if r.now.err != nil {
			return 0, r.now.err
		}
		r.next()
	}
	n := copy(p, (*r.now.buf)[r.at:r.now.n])
	r.at += n
	return n, nil
}

// next gives the last chunk back and takes one.
func (r *reader) next() {
	if r.now.buf != nil {
		r.from.pool.put(r.now.buf)
	}
	r.at = 0
	select {
	case r.now = <-r.from.chunks:
		r.see((*r.now.buf)[:r.now.n])
	case <-r.from.ctx.Done():
		r.now = chunk{err: context.Cause(r.from.ctx)}
	}
}
