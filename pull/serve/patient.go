package serve

import (
	"io"
	"net/http"
	"time"
)

// patient is a connection whose other end may be slow but not silent: each piece
// that is read or written has its own deadline. One deadline for all would end
// the transfer of a large blob, none would let anybody keep a connection for
// ever (http.Server's own are of the former kind).
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	silence time.Duration
	status  int
	sent    int64
}

func newPatient(w http.ResponseWriter, r *http.Request, silence time.Duration) *patient {
	p := &patient{ResponseWriter: w, control: http.NewResponseController(w), silence: silence}
	p.waitToSend()
	if r.ContentLength != 0 {
		p.waitForMore()
		r.Body = &patientBody{r.Body, p}
	}
	return p
}

// waitToSend gives the client its time anew, to take what is sent. A connection
// without deadlines, as in a test, does without.
func (p *patient) waitToSend() { _ = p.control.SetWriteDeadline(time.Now().Add(p.silence)) }

func (p *patient) waitForMore() { _ = p.control.SetReadDeadline(time.Now().Add(p.silence)) }

type patientBody struct {
	io.ReadCloser
	p *patient
}

func (b *patientBody) Read(buf []byte) (int, error) {
	b.p.waitForMore()
	n, err := b.ReadCloser.Read(buf)
	if err == io.EOF {
		// The server goes on reading, to see whether the client hangs up, for as
		// long as it takes to answer.
		_ = b.p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Unwrap lets http.ResponseController find what is beneath.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *patient) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
	p.waitToSend()
	p.ResponseWriter.WriteHeader(status)
}

func (p *patient) Write(b []byte) (int, error) {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	p.waitToSend()
	n, err := p.ResponseWriter.Write(b)
	p.sent += int64(n)
	return n, err
}

// piece is what is handed to the kernel at once: with the silence of a minute,
// who takes less than 17 kB/s is let go.
const piece = 1 << 20

// ReadFrom keeps sendfile(2) at work, which the kernel does from a file to a
// socket, while the deadline moves on.
func (p *patient) ReadFrom(r io.Reader) (int64, error) {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	left := int64(1<<63 - 1)
	limited, ok := r.(*io.LimitedReader)
	if ok { // net unwraps one of these, not two
		r, left = limited.R, limited.N
	}
	var total int64
	for total < left {
		p.waitToSend()
		want := min(piece, left-total)
		n, err := io.CopyN(p.ResponseWriter, r, want)
		total += n
		p.sent += n
		if ok {
			limited.N -= n
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
