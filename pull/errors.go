package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode"

	"rootlet/pull/registry"
)

// Kind says what stopped a pull, for errors.Is(err, pull.NotFound).
type Kind int

// What can stop a pull. Other errors (a store that fails, a manifest that is
// no manifest) have the kind Other.
const (
	Other          Kind = iota
	NotFound            // the registry has no such image
	Unauthorized        // the registry says who are you, or no
	Unreachable         // no answer: name, connection, TLS, or silence
	NoPlatform          // nothing for the platform that was asked for
	DigestMismatch      // content differs from its digest, size or DiffID
	Truncated           // a body ended early, again and again
	TooLarge            // beyond a limit that protects this host
	Unsupported         // a kind of image that is not read (schema 1, artifacts)
	DiskFull            // no space or quota left for the layers
)

// Error makes a Kind a target for errors.Is.
func (k Kind) Error() string {
	names := [...]string{
		"error", "not found", "unauthorized", "unreachable", "no such platform",
		"digest mismatch", "truncated", "too large", "unsupported", "disk full",
	}
	return names[k]
}

// Error is what every function here that takes a reference returns: one line
// that names the reference and, where one is at fault, the layer or registry.
type Error struct {
	Kind Kind
	Name string // familiar form of the reference
	Err  error
	hint string
	step string // what was done, empty for a pull
}

// Error is "pull NAME: CAUSE", or another step than pull.
func (e *Error) Error() string {
	return cmp.Or(e.step, "pull") + " " + e.Name + ": " + oneLine(e.Err.Error())
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a Kind.
func (e *Error) Is(target error) bool { return target == e.Kind }

// Hint is what the user may type or look at next, or empty.
func (e *Error) Hint() string { return e.hint }

// fault is a cause whose kind is known where it happens.
type fault struct {
	kind Kind
	text string
}

func (f *fault) Error() string { return f.text }

func faultf(k Kind, format string, args ...any) error {
	return &fault{k, fmt.Sprintf(format, args...)}
}

// Explain makes an *Error of what FromSource returns: step and name say what was
// done and with what. A cancelled context comes back as it is.
func Explain(step, name string, err error) error {
	explained := explain(Reference{}, err)
	if e, ok := explained.(*Error); ok {
		e.step, e.Name = step, name
	}
	return explained
}

// explain gives err its kind and words. A cancelled context comes back as it
// is, so that the caller sees context.Canceled.
func explain(ref Reference, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Name: ref.Familiar(), Err: err}
	var known *fault
	var limit interface{ LimitKey() string }
	var status *registry.StatusError
	var network *registry.NetworkError
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind, e.hint = DiskFull, "df -h: free some space, or remove images with rootlet rmi"
	case errors.As(err, &limit):
		e.limited(limit.LimitKey())
	case errors.As(err, &known):
		e.Kind = known.kind
	case errors.As(err, &status):
		e.refused(status)
	case errors.As(err, &network):
		e.Kind, e.Err = Unreachable, network
		if network.PlainHTTP {
			e.hint = "the registry speaks http only: --tls-verify=false"
		}
	case errors.Is(err, registry.ErrTruncated):
		e.Kind = Truncated
	case errors.Is(err, registry.ErrTooLarge):
		e.Kind = TooLarge
	case errors.Is(err, registry.ErrSize):
		e.Kind = DigestMismatch
	}
	var mirrors *mirrorsError
	if errors.As(err, &mirrors) && e.Err != err {
		e.Err = fmt.Errorf("%w%s", e.Err, mirrors.words())
	}
	return e
}

// limited names the way around a limit.
func (e *Error) limited(key string) {
	e.Kind, e.hint = TooLarge, "if you trust the image, raise "+key+" in the section [limits] of rootlet's config.toml"
	if key == "free-disk" {
		e.Kind, e.hint = DiskFull, "free some space, or lower free-disk in the section [limits] of rootlet's config.toml"
	}
}

// refused sorts the answers that are a no.
func (e *Error) refused(s *registry.StatusError) {
	switch {
	case s.NotFound():
		e.Kind, e.Err = NotFound, fmt.Errorf("no such image in registry %s", s.Host)
	case s.Unauthorized():
		e.Kind, e.Err = Unauthorized, fmt.Errorf("registry %s denied access: %s", s.Host, s.Reason())
		e.hint = "check the name; if the image is private: rootlet login " + s.Host
	}
}

// maxMessage is where a message is cut, in bytes: parts of it may be a
// registry's own words.
const maxMessage = 1000

// oneLine also keeps a registry's control characters off the terminal.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s[:min(len(s), maxMessage)]), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}
