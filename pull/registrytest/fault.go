package registrytest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong with matching requests.
type Fault struct {
	Path   string // part of the request's path; empty matches all
	Times  int    // how often, 0 for ever
	Status int    // answered instead, with Header and Body
	Header http.Header

	Truncate  int           // end the body after so many bytes, while Content-Length says all
	Corrupt   bool          // flip the middle byte
	Extra     int           // send so many bytes more, with a Content-Length that fits
	StallAt   int           // send so many bytes, then nothing; -1 stalls before the headers
	NoRange   bool          // ignore Range
	Chunked   bool          // send no Content-Length
	Body      []byte        // sent instead of the true one
	Slow      time.Duration // wait before each Piece
	Piece     int           // bytes, 64 KiB if zero
	Reset     bool          // for Truncate: by a reset of the connection
	WithTruth bool          // for Truncate: say the truth in Content-Length

	stop chan struct{}
}

// Add puts a fault into force, after those there are.
func (r *Registry) Add(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.stop = make(chan struct{})
	r.faults = append(r.faults, &f)
}

// Clear ends all faults and what they stalled.
func (r *Registry) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		close(f.stop)
	}
	r.faults = nil
}

// take notes a request, and finds the fault, the gate and the redirect that it
// meets.
func (r *Registry) take(req *http.Request) (*Fault, func(http.ResponseWriter, *http.Request) bool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req.Clone(req.Context()))
	for _, f := range r.faults {
		if !strings.Contains(req.URL.Path, f.Path) || f.Times < 0 {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				f.Times = -1
			}
		}
		return f, r.gate, r.blobsAt
	}
	return nil, r.gate, r.blobsAt
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	f, gate, blobsAt := r.take(req)
	answer := r.handled(req)
	switch {
	case gate != nil && !gate(w, req):
		return
	case f == nil && blobsAt != "" && strings.Contains(req.URL.Path, "/blobs/"):
		http.Redirect(w, req, blobsAt+req.URL.Path, http.StatusTemporaryRedirect)
		return
	case f == nil && answer != nil:
		answer(w, req)
		return
	case f == nil:
		r.inner.ServeHTTP(w, req)
		return
	case f.StallAt < 0:
		f.stall(req)
		return
	case f.Status != 0:
		for key, values := range f.Header {
			w.Header()[key] = values
		}
		w.WriteHeader(f.Status)
		_, _ = w.Write(f.Body)
		return
	}
	if f.NoRange {
		req.Header.Del("Range")
	}
	truth := httptest.NewRecorder()
	r.inner.ServeHTTP(truth, req)
	f.spoil(w, req, truth)
}

// spoil sends what the registry answered, less well.
func (f *Fault) spoil(w http.ResponseWriter, req *http.Request, answer *httptest.ResponseRecorder) {
	body := append([]byte{}, answer.Body.Bytes()...)
	if f.Body != nil {
		body = f.Body
	}
	if f.Corrupt {
		body[len(body)/2] ^= 1
	}
	body = append(body, make([]byte, f.Extra)...)
	length := len(body)
	for _, cut := range []int{f.Truncate, f.StallAt} {
		if cut > 0 {
			body = body[:min(cut, len(body))]
		}
	}
	if f.WithTruth {
		length = len(body)
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	if f.Chunked {
		w.Header().Del("Content-Length")
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	w.WriteHeader(answer.Code)
	f.send(w, body)
	switch {
	case f.StallAt > 0:
		f.stall(req)
	case f.Reset:
		reset(w)
	case f.Truncate > 0 && !f.WithTruth:
		panic(http.ErrAbortHandler) // closes the connection
	}
}

func (f *Fault) send(w http.ResponseWriter, body []byte) {
	for len(body) > 0 {
		n := min(len(body), f.Piece)
		if f.Piece == 0 {
			n = min(len(body), 64<<10)
		}
		_, _ = w.Write(body[:n]) // the client may be gone
		body = body[n:]
		if f.Slow > 0 {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(f.Slow)
		}
	}
	_ = http.NewResponseController(w).Flush()
}

// reset ends the connection with what is on its way lost.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

func (f *Fault) stall(req *http.Request) {
	select {
	case <-req.Context().Done():
	case <-f.stop:
	}
}
