package sandbox

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// rest is how long it takes at most to read what lies in a pipe.
const rest = 100 * time.Millisecond

// Capture runs a program in the container without input, and returns its exit
// status and the first limit bytes of what it writes, to either stream. When ctx
// ends the program is killed and the error is ctx's; whatever it has left behind
// in the background is not waited for.
func (t *Target) Capture(ctx context.Context, r ExecRequest, limit int) (status int, output string, err error) {
	var inside handles
	defer inside.close()
	from, to, err := openPipe()
	if err != nil {
		return codeEngine, "", err
	}
	defer from.Close()
	null, err := inside.addFile(os.OpenFile(os.DevNull, os.O_RDONLY, 0))
	if err != nil {
		return codeEngine, "", errors.Join(err, to.Close())
	}
	out, err := inside.addFile(to, nil)
	if err != nil {
		return codeEngine, "", err
	}
	j, err := t.join(r, [3]int{null, out, out})
	if err != nil {
		return codeEngine, "", err
	}
	inside.close()
	stop := context.AfterFunc(ctx, func() { j.signal(unix.SIGKILL) })
	defer stop()
	read := make(chan struct{})
	go func() {
		defer close(read)
		written, _ := io.ReadAll(io.LimitReader(from, int64(limit)))
		output = string(written)
		_, _ = io.Copy(io.Discard, from)
	}()
	status, err = j.wait()
	_ = from.SetReadDeadline(time.Now().Add(rest))
	<-read
	return status, output, errors.Join(err, ctx.Err())
}
