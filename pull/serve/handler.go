package serve

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Options say how a registry behaves.
type Options struct {
	ReadOnly bool        // nothing is changed
	Users    *Users      // who may come in; nil for everybody
	Log      func(Entry) // hears of each request when it is answered; may be nil
	Silence  time.Duration
}

// Entry is a request as a log shows it.
type Entry struct {
	Client, User, Method, Path string
	Status                     int
	Bytes                      int64
	Took                       time.Duration
	Err                        error // what was not told to the client
}

// defaultSilence is for how long a client may neither send nor take anything.
const defaultSilence = time.Minute

// registry is the handler.
type registry struct {
	Options
	storage Storage
}

// New is a registry over a storage.
func New(storage Storage, o Options) http.Handler {
	if o.Silence == 0 {
		o.Silence = defaultSilence
	}
	return &registry{Options: o, storage: storage}
}

// request is one request on its way.
type request struct {
	*http.Request
	route
	w *patient
}

func (s *registry) ServeHTTP(plain http.ResponseWriter, hr *http.Request) {
	began := time.Now()
	w := newPatient(plain, hr, s.Silence)
	// "Determining Support": clients know the protocol by it, Docker's insist.
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	// What a pusher chose is never to be run as a page.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	user, err := s.answer(w, hr)
	if err != nil {
		explain(err, faultf(http.StatusNotFound, codeUnknown, "not there")).write(w)
	}
	if s.Log != nil {
		s.Log(Entry{
			Client: hr.RemoteAddr, User: user, Method: hr.Method, Path: hr.URL.RequestURI(),
			Status: w.status, Bytes: w.sent, Took: time.Since(began), Err: err,
		})
	}
}

// answer lets the client in and has its request handled.
func (s *registry) answer(w *patient, hr *http.Request) (user string, err error) {
	if s.Users == nil {
		if err := foreign(hr); err != nil {
			return "", err
		}
	} else if user, err = s.Users.admit(w, hr); err != nil {
		return "", err
	}
	r := &request{Request: hr, route: findRoute(hr.URL.Path), w: w}
	if r.kind == nowhere {
		return user, faultf(http.StatusNotFound, codeUnknown, "%s is nothing that a registry has", hr.URL.Path)
	}
	if r.kind > toCatalog && !ValidName(r.name) {
		return user, faultf(http.StatusBadRequest, codeNameInvalid, "%q is no name of a repository", r.name)
	}
	do := s.handlers(r.kind)[hr.Method]
	if do == nil {
		return user, s.wrongMethod(w, r)
	}
	if s.ReadOnly && hr.Method != http.MethodGet && hr.Method != http.MethodHead {
		return user, faultf(http.StatusMethodNotAllowed, codeUnsupported, "this registry is read-only")
	}
	return user, do(r)
}

type handlers map[string]func(*request) error

// handlers are what can be done with one kind of thing.
func (s *registry) handlers(k kind) handlers {
	get, head, put, post, patch, del := http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete
	switch k {
	case toBase:
		return handlers{get: s.base, head: s.base}
	case toCatalog:
		return handlers{get: s.catalog}
	case toTags:
		return handlers{get: s.tags}
	case toManifest:
		return handlers{get: s.manifest, head: s.manifest, put: s.putManifest, del: s.removeManifest}
	case toBlob:
		return handlers{get: s.blob, head: s.blob, del: s.removeBlob}
	case toUploads:
		return handlers{post: s.begin}
	case toUpload:
		return handlers{get: s.uploadStatus, patch: s.appendChunk, put: s.finish, del: s.cancel}
	case toReferrers:
		return handlers{get: s.referrers}
	}
	return nil
}

func (s *registry) wrongMethod(w http.ResponseWriter, r *request) error {
	var allowed []string
	for method := range s.handlers(r.kind) {
		allowed = append(allowed, method)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return faultf(http.StatusMethodNotAllowed, codeUnsupported, "%s is not for %s", r.Method, r.URL.Path)
}

// base is the check whether there is a registry at all.
func (s *registry) base(r *request) error {
	return r.sendJSON(struct{}{})
}

// foreign refuses a request by which a page of somebody else's may be reading:
// a browser sends it here where the page's own name was made to lead to this
// host (DNS rebinding). Who needs no password is known only by having come over
// an address, so the name that was called must be one that cannot be had.
func foreign(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	private := host == "" || net.ParseIP(host) != nil || !strings.Contains(host, ".") ||
		strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
	if private {
		return nil
	}
	return faultf(http.StatusForbidden, codeDenied, "%s", fmt.Sprintf("this registry needs no password, and does not answer to the name %q: use an address, or have it started with --htpasswd", host))
}
